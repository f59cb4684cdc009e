//! On which processors a thread may run: the `*-cpulist` directives.
//!
//! A list is made of numbers, ranges and ranges with a step, separated by commas: `0,2-5,8-14:2`. A new thread inherits the
//! processors of the one that starts it.

use std::io;

/// Processors, as a set of the system's.
pub type Cpus = libc::cpu_set_t;

/// The greatest number a set can hold, plus one.
const LIMIT: usize = libc::CPU_SETSIZE as usize;

/// Reads a list; None when it does not parse. Numbers beyond what a set holds are left out.
pub fn parse(list: &[u8]) -> Option<Cpus> {
    let text = std::str::from_utf8(list).ok()?;
    // SAFETY: a set of processors is plain bits; all zero is the empty set.
    let mut cpus: Cpus = unsafe { std::mem::zeroed() };
    for part in text.split(',').map(str::trim) {
        for cpu in range(part)? {
            // SAFETY: within the set.
            unsafe { libc::CPU_SET(cpu, &mut cpus) };
        }
    }
    Some(cpus)
}

/// `5`, `2-7`, `2-7:2`.
fn range(part: &str) -> Option<impl Iterator<Item = usize>> {
    let number = |t: &str| t.trim().parse::<usize>().ok();
    let (range, step) = match part.split_once(':') {
        Some((range, step)) => (range, number(step).filter(|&s| s > 0)?),
        None => (part, 1),
    };
    let (first, last) = match range.split_once('-') {
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(range)?, number(range)?),
    };
    (first <= last).then(|| (first..=last.min(LIMIT - 1)).step_by(step))
}

/// The processors of the calling thread.
pub fn of_this_thread() -> io::Result<Cpus> {
    // SAFETY: as in `parse`; the kernel fills the set, whose size it is told.
    unsafe {
        let mut cpus: Cpus = std::mem::zeroed();
        match libc::sched_getaffinity(0, size_of::<Cpus>(), &mut cpus) {
            0 => Ok(cpus),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Has the threads of this process whose name begins with `prefix` run on these from now on.
pub fn set_others(cpus: &Cpus, prefix: &str) -> io::Result<()> {
    for task in std::fs::read_dir("/proc/self/task")? {
        let task = task?;
        let name = std::fs::read_to_string(task.path().join("comm"))?;
        let id = task.file_name().to_string_lossy().parse();
        if let (true, Ok(id)) = (name.starts_with(prefix), id) {
            // SAFETY: the set is valid and its size is told; a thread that has ended is an error.
            if unsafe { libc::sched_setaffinity(id, size_of::<Cpus>(), cpus) } != 0 {
                return Err(io::Error::last_os_error());
            }
        }
    }
    Ok(())
}

/// Has the calling thread run on these from now on.
pub fn set(cpus: &Cpus) -> io::Result<()> {
    // SAFETY: the set is valid and its size is told.
    match unsafe { libc::sched_setaffinity(0, size_of::<Cpus>(), cpus) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(list: &str) -> Option<Vec<usize>> {
        let cpus = parse(list.as_bytes())?;
        // SAFETY: within the set.
        Some(
            (0..LIMIT)
                .filter(|&i| unsafe { libc::CPU_ISSET(i, &cpus) })
                .collect(),
        )
    }

    #[test]
    fn lists() {
        assert_eq!(numbers("0"), Some(vec![0]));
        assert_eq!(numbers("0,2-4, 8-14:3"), Some(vec![0, 2, 3, 4, 8, 11, 14]));
        assert_eq!(numbers("1-999999").map(|n| n.len()), Some(LIMIT - 1));
        for bad in ["", "a", "3-1", "1-", "1:0", "0,,1", "-1"] {
            assert_eq!(numbers(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_thread_can_be_bound() {
        std::thread::spawn(|| {
            let all = of_this_thread().unwrap();
            // SAFETY: within the set.
            let first = (0..LIMIT)
                .find(|&i| unsafe { libc::CPU_ISSET(i, &all) })
                .unwrap();
            set(&parse(first.to_string().as_bytes()).unwrap()).unwrap();
            let now = of_this_thread().unwrap();
            // SAFETY: a valid set.
            assert_eq!(unsafe { libc::CPU_COUNT(&now) }, 1);
        })
        .join()
        .unwrap();
    }
}
