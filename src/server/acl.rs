//! Users from files: `user` lines of the configuration, the ACL file, and writing them back.
//!
//! Compat: an ACL file that exists keeps its permission bits when it is saved (upstream gives it 0644), since it holds secrets.

use super::{Server, host};
use crate::acl::user::User;
use crate::acl::users::is_name;
use crate::acl::{RuleError, UserId, file, merge_selectors};
use crate::client::Client;
use crate::config::rewrite::replace_file;
use crate::config::{Config, ConfigError, Text};
use crate::resp::Error;
use std::collections::HashSet;

/// Checks `user` lines before the server starts; unknown commands are left to [`Server::load_users`].
pub fn check_user_lines(config: &Config, acl: &mut crate::acl::Acl) -> Result<(), ConfigError> {
    let (rules, _) = acl.parts(config);
    for words in &config.user {
        let refused = |word: &[u8], why: &dyn std::fmt::Display| {
            let line = [b"user ", &*join(words)].concat();
            let (line, word) = (
                String::from_utf8_lossy(&line),
                String::from_utf8_lossy(word),
            );
            ConfigError::Whole(format!(
                ">>> '{line}'\nError in user declaration '{word}': {why}"
            ))
        };
        let merged = merge_selectors(words[1..].iter().map(Text::as_bytes))
            .map_err(|_| refused(b"user", &"Wrong format"))?;
        let mut user = User::new(&words[0], rules);
        for rule in merged {
            match user.apply(&rule, rules) {
                Ok(()) | Err(RuleError::Unknown) => {}
                Err(e) => return Err(refused(&rule, &e)),
            }
        }
    }
    Ok(())
}

fn join(words: &[Text]) -> Vec<u8> {
    let words: Vec<&[u8]> = words.iter().map(Text::as_bytes).collect();
    words.join(&b' ')
}

impl Server {
    /// Makes the users that the configuration and the ACL file name. False: they cannot be made, which was logged.
    pub fn load_users(&mut self) -> bool {
        if !self.config.requirepass.is_empty() {
            self.set_default_password(None);
        }
        let has_file = !self.config.aclfile.is_empty();
        if has_file && !self.config.user.is_empty() {
            log::warn!(
                "Configuring Redis with users defined in redis.conf and at the same setting an ACL file path is invalid. This setup is very likely to lead to configuration errors and security holes, please define either an ACL file or declare users directly in your redis.conf, but not both."
            );
            return false;
        }
        if !self.load_user_lines() {
            log::warn!("Critical error while loading ACLs. Exiting.");
            return false;
        }
        if !has_file {
            return true;
        }
        match self.read_acl_file() {
            Ok(users) => {
                let (rules, table) = self.acl.parts(&self.config);
                table.replace_all(users, rules);
                true
            }
            Err(why) => {
                let why = String::from_utf8_lossy(&why);
                log::warn!("Aborting Redis startup because of ACL errors: {why}");
                false
            }
        }
    }

    fn load_user_lines(&mut self) -> bool {
        for words in &self.config.user {
            let name = words[0].as_bytes();
            if !is_name(name) {
                log::warn!("Spaces not allowed in ACL usernames");
                return false;
            }
            let (rules, users) = self.acl.parts(&self.config);
            // The default user exists already.
            let mut user = User::new(name, rules);
            let merged = merge_selectors(words[1..].iter().map(Text::as_bytes)).unwrap_or_default();
            for rule in merged {
                if let Err(e) = user.apply(&rule, rules) {
                    log::warn!(
                        "Error loading ACL rule '{}' for the user named '{}': {e}",
                        String::from_utf8_lossy(&rule),
                        words[0].to_str_lossy()
                    );
                    return false;
                }
            }
            if !user.is_on() {
                log::info!(
                    "The user '{}' is disabled (there is no 'on' modifier in the user description). Make sure this is not a configuration error.",
                    words[0].to_str_lossy()
                );
            }
            users.put(user);
        }
        true
    }

    fn read_acl_file(&mut self) -> Result<Vec<User>, Vec<u8>> {
        let path = self.config.aclfile.clone();
        let text = std::fs::read(path.as_path()).map_err(|e| {
            let why = format!("': {}", host::os_text(&e));
            let start = b"Error loading ACLs, opening file '".as_slice();
            [start, &path, why.as_bytes()].concat()
        })?;
        let (rules, _) = self.acl.parts(&self.config);
        file::parse(&text, &path, rules)
    }

    /// ACL LOAD: the users of the ACL file in place of all there are, or nothing at all.
    pub fn reload_users(&mut self, running: &mut Client) -> Result<(), Error> {
        let users = self
            .read_acl_file()
            .map_err(|why| Error::Bytes([b"ERR ", &*why].concat()))?;
        // Only users that somebody is logged in as have clients to follow.
        let mut in_use: HashSet<UserId> = self.clients.iter().map(|c| c.user_id).collect();
        in_use.extend([running.user_id, UserId::DEFAULT]);
        let before: Vec<(UserId, User)> = in_use
            .into_iter()
            .filter_map(|id| Some((id, self.acl.users.get(id)?.clone())))
            .collect();
        let (rules, table) = self.acl.parts(&self.config);
        let mut gone = table.replace_all(users, rules);
        // Before 7.2 every client of a named user was closed.
        if self.config.compat_before(7, 2) {
            gone = before.iter().map(|(id, _)| *id).collect();
            gone.retain(|id| *id != UserId::DEFAULT);
        }
        for id in &gone {
            self.user_removed(running, *id);
        }
        for (id, user) in &before {
            self.user_changed(Some(&mut *running), *id, Some(user));
        }
        Ok(())
    }

    /// ACL SAVE: writes the ACL file.
    pub fn save_users(&mut self) -> Result<(), Error> {
        let text = file::print(&self.acl.users, self.config.compat_before(7, 2));
        let path = self.config.aclfile.as_path();
        replace_file(path, &text).map_err(|e| {
            log::warn!(
                "Saving the ACL file {}: {}",
                path.display(),
                host::os_text(&e)
            );
            Error::new(
                "ERR There was an error trying to save the ACLs. Please check the server logs for more information",
            )
        })
    }

    /// The words behind `user` for the configuration file; None when an ACL file holds the users.
    pub fn user_lines(&self) -> Option<Vec<Vec<u8>>> {
        if !self.config.aclfile.is_empty() {
            return None;
        }
        let old_form = self.config.compat_before(7, 2);
        let line = |u: &User| [u.name(), b" ", &u.describe(old_form)].concat();
        Some(self.acl.users.iter().map(line).collect())
    }
}
