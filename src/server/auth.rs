//! Who a client is: logging in and out, and what becomes of clients when their user changes or goes.
//!
//! A client carries its user's id and name, and two flags made from the user: `UNAUTHENTICATED` (it has to log in first) and
//! `RESTRICTED` (permissions are asked before each command). They are set here and nowhere else; whoever changes users calls
//! [`Server::user_changed`] or [`Server::user_removed`]. The client whose command is running is out of the table and is
//! handed in beside it.

use super::Server;
use crate::acl::users::DEFAULT_USER;
use crate::acl::{Event, Reason, User, UserId};
use crate::client::{Client, ClientFlags};
use crate::config::EnableProtected;
use crate::exec::acl;
use crate::pubsub::Kind;
use crate::resp::Error;

impl Server {
    /// Whether new connections have to log in: the default user has a password or is off.
    pub fn asks_for_password(&self) -> bool {
        let user = self.acl.users.default_user();
        !(user.needs_no_password() && user.is_on())
    }

    /// Whether the default user takes any password, be it on or off.
    pub fn has_no_password(&self) -> bool {
        self.acl.users.default_user().needs_no_password()
    }

    /// Whether there is a user of this name.
    pub fn knows_user(&self, user: &[u8]) -> bool {
        self.acl.users.find(user).is_some()
    }

    /// Logs `client` in as `user`, if the password is right. `command` is the word by which it asked (AUTH or HELLO).
    pub fn log_in(
        &mut self,
        client: &mut Client,
        user: &[u8],
        password: &[u8],
        command: &[u8],
    ) -> Result<(), Error> {
        let found = self.acl.users.by_name(user);
        let id = match found {
            Some((id, user)) => user.accepts(password).then_some(id),
            None => {
                // A name that does not exist takes as long as a wrong password.
                std::hint::black_box(crate::acl::password::hash(password));
                None
            }
        };
        let Some(id) = id else {
            let event = Event {
                reason: Reason::Auth,
                context: acl::context_of(client),
                object: command.into(),
                username: user.into(),
            };
            acl::note_event(self, client, event);
            return Err(Error::new(
                "WRONGPASS invalid username-password pair or user is disabled.",
            ));
        };
        become_user(client, id, self.acl.users.get(id));
        client.flags.remove(ClientFlags::UNAUTHENTICATED);
        Ok(())
    }

    /// Puts a client to how a new connection begins.
    pub fn log_out(&self, client: &mut Client) {
        let default = self.acl.users.default_user();
        become_user(client, UserId::DEFAULT, Some(default));
        let locked = self.asks_for_password();
        client.flags.set(ClientFlags::UNAUTHENTICATED, locked);
    }

    /// The rules of a user have changed from what they were before: its clients follow. Those that listen to channels it may
    /// not listen to any more are closed.
    pub fn user_changed(
        &mut self,
        running: Option<&mut Client>,
        id: UserId,
        before: Option<&User>,
    ) {
        let Some(user) = self.acl.users.get(id) else {
            return;
        };
        let open = id == UserId::DEFAULT && !self.asks_for_password();
        let lost_channels = before.is_some_and(|before| loses_channels(before, user));
        let mut doomed = Vec::new();
        let follow = |client: &mut Client| {
            if open {
                client.flags.remove(ClientFlags::UNAUTHENTICATED);
            }
            if client.user_id != id || client.has(ClientFlags::MASTER | ClientFlags::FAKE) {
                return false;
            }
            become_user(client, id, Some(user));
            lost_channels && listens_in_vain(client, user)
        };
        for client in self.clients.iter_mut() {
            if follow(client) {
                doomed.push(client.handle);
            }
        }
        if let Some(client) = running
            && follow(client)
        {
            client.flags.insert(ClientFlags::CLOSE_AFTER_REPLY);
        }
        for handle in doomed {
            if let Some(mut client) = self.clients.take(handle) {
                self.close_soon(&mut client);
                self.clients.put_back(client);
            }
        }
    }

    /// Makes one client follow its user and what the default user lets in.
    pub fn follow_user(&self, client: &mut Client) {
        if !self.asks_for_password() {
            client.flags.remove(ClientFlags::UNAUTHENTICATED);
        }
        become_user(client, client.user_id, self.acl.users.get(client.user_id));
    }

    /// A user was removed: its clients are logged out and closed, the running one when it has its reply.
    pub fn user_removed(&mut self, running: &mut Client, id: UserId) {
        let clients = self.clients.iter().filter(|c| c.user_id == id);
        let handles: Vec<_> = clients.map(|c| c.handle).collect();
        for handle in handles {
            if let Some(mut client) = self.clients.take(handle) {
                self.expel(&mut client);
                self.close_soon(&mut client);
                self.clients.put_back(client);
            }
        }
        if running.user_id == id {
            self.expel(running);
            running.flags.insert(ClientFlags::CLOSE_AFTER_REPLY);
        }
    }

    /// Takes a client's user from it, whatever the default user may do.
    fn expel(&self, client: &mut Client) {
        self.log_out(client);
        client.flags.insert(ClientFlags::UNAUTHENTICATED);
    }

    /// `requirepass` is the default user's only password; without it that user needs none.
    pub fn set_default_password(&mut self, running: Option<&mut Client>) {
        let password = self.config.requirepass.as_bytes();
        let rule = match password {
            [] => b"nopass".to_vec(),
            text => [b">", text].concat(),
        };
        let (rules, users) = self.acl.parts(&self.config);
        let changed = users.change(DEFAULT_USER, &[b"resetpass".to_vec(), rule], rules);
        debug_assert!(changed.is_ok());
        self.user_changed(running, UserId::DEFAULT, None);
    }
}

/// Whether what `enable-debug-command` and its kin guard is open to this client.
pub fn is_open_to(rule: EnableProtected, client: &Client) -> bool {
    match rule {
        EnableProtected::Yes => true,
        EnableProtected::No => false,
        EnableProtected::Local => client.addr().is_local(),
    }
}

/// Makes a client follow a user, as it is now.
fn become_user(client: &mut Client, id: UserId, user: Option<&User>) {
    let name = user.map(User::name).filter(|name| *name != DEFAULT_USER);
    client.user_id = id;
    if client.user.as_deref() != name {
        client.user = name.map(Into::into);
    }
    let restricted = !user.is_some_and(User::is_unrestricted);
    client.flags.set(ClientFlags::RESTRICTED, restricted);
}

/// Whether a user could listen to something before that it may not be allowed any more.
fn loses_channels(before: &User, now: &User) -> bool {
    if now.selectors().iter().any(|s| s.all_channels()) {
        return false;
    }
    let kept = |name: &[u8]| {
        let mut selectors = now.selectors().iter();
        selectors.any(|s| s.channels().any(|c| c == name))
    };
    let mut before = before.selectors().iter();
    before.any(|s| s.all_channels() || !s.channels().all(kept))
}

/// Whether a client listens to what its user may not listen to.
fn listens_in_vain(client: &Client, user: &User) -> bool {
    let Some(subs) = &client.subs else {
        return false;
    };
    let allowed = |name: &[u8], literal: bool| {
        let mut selectors = user.selectors().iter();
        selectors.any(|s| s.allows_channel(name, literal))
    };
    let kinds = [Kind::Channel, Kind::Pattern, Kind::Shard];
    kinds.into_iter().any(|kind| {
        let mut names = subs.of(kind).iter();
        names.any(|name| !allowed(name, kind == Kind::Pattern))
    })
}
