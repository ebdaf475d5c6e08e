//! The ports that an agent would have: free, its own, or somebody else's.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};

use super::Finding;
use super::running::{AGENT_PORT, Running};
use crate::config::Config;

/// Who has a port.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Holder {
    Nobody,
    Weir,
    /// The process, as far as that can be seen.
    Other(Option<String>),
    /// It cannot be had for another reason.
    Refused(String),
}

pub(super) fn look(config: &Config, running: &Running) -> Vec<Finding> {
    let own = match config.listen_address(AGENT_PORT) {
        Ok(own) => own,
        Err(error) => return vec![Finding::fail("port", format!("{error:#}"), "mend listen")],
    };
    let mut findings = vec![judge(own, &holder(own, running))];
    for alias in &config.aliases {
        let alias = SocketAddr::new(own.ip(), *alias);
        findings.extend(judge_alias(alias, &holder(alias, running)));
    }
    findings
}

fn holder(address: SocketAddr, running: &Running) -> Holder {
    if running.is_weir(address) {
        return Holder::Weir;
    }
    match TcpListener::bind(address) {
        Ok(_) => Holder::Nobody,
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => match listener(address.port()) {
            Some(name) if name.contains("(weir)") => Holder::Weir,
            name => Holder::Other(name),
        },
        Err(error) => Holder::Refused(error.to_string()),
    }
}

fn judge(address: SocketAddr, holder: &Holder) -> Finding {
    const CHECK: &str = "port";
    match holder {
        Holder::Nobody => Finding::ok(CHECK, format!("{address} is free")),
        Holder::Weir => Finding::ok(CHECK, format!("{address} is had by a running Weir")),
        Holder::Other(who) => Finding::fail(
            CHECK,
            format!(
                "{address} is had by {}",
                who.as_deref().unwrap_or("a process that this user cannot see")
            ),
            "end it, or have Weir serve elsewhere with --listen",
        ),
        Holder::Refused(why) => {
            Finding::fail(CHECK, format!("{address} cannot be had: {why}"), "choose another with --listen")
        }
    }
}

/// Nothing to say of a port that is free, or Weir's.
fn judge_alias(address: SocketAddr, holder: &Holder) -> Option<Finding> {
    let who = match holder {
        Holder::Nobody | Holder::Weir => return None,
        Holder::Other(who) => who.as_deref().unwrap_or("a process that this user cannot see").to_owned(),
        Holder::Refused(why) => why.clone(),
    };
    Some(Finding::warn(
        "port",
        format!("{address} is not to be had ({who}): clients that try it by themselves find somebody else"),
        "end it, point clients to the port above, or take it out of aliases",
    ))
}

/// `PID (NAME)` of who listens on a port, if this user may see it.
fn listener(port: u16) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let inode = tables.iter().find_map(|table| inode_of(table, port))?;
    let wanted = format!("socket:[{inode}]");
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let name = process.file_name();
        let Some(pid) = name.to_str().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())) else {
            continue;
        };
        let Ok(descriptors) = fs::read_dir(process.path().join("fd")) else { continue };
        let holds = descriptors.flatten().any(|descriptor| {
            fs::read_link(descriptor.path()).is_ok_and(|link| link.to_str() == Some(&wanted))
        });
        if holds {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("process {pid} ({})", name.trim()));
        }
    }
    None
}

/// The inode of the socket that listens on a port, by a table of `/proc/net`.
fn inode_of(table: &str, port: u16) -> Option<&str> {
    const LISTENS: &str = "0A";
    table.lines().skip(1).find_map(|line| {
        let columns: Vec<_> = line.split_whitespace().collect();
        let (_, local) = columns.get(1)?.rsplit_once(':')?;
        let fits = u16::from_str_radix(local, 16).ok()? == port && *columns.get(3)? == LISTENS;
        fits.then(|| columns.get(9).copied()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::super::Outcome;
    use super::*;

    #[test]
    fn who_has_a_port_is_found() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = held.local_addr().unwrap();
        let Holder::Other(Some(who)) = holder(address, &Running::default()) else { panic!("this process") };
        assert!(who.starts_with(&format!("process {} (", std::process::id())), "{who}");
        let finding = judge(address, &Holder::Other(Some(who)));
        assert_eq!(finding.outcome, Outcome::Fail);
        drop(held);
        assert_eq!(judge(address, &Holder::Nobody).outcome, Outcome::Ok);
        assert_eq!(judge_alias(address, &Holder::Nobody), None);
        assert!(judge_alias(address, &Holder::Other(None)).is_some());
    }

    #[test]
    fn the_kernels_table_is_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
                     0: 0100007F:25E5 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0\n\
                     1: 0100007F:25E6 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0\n";
        assert_eq!(
            (inode_of(table, 0x25e5), inode_of(table, 0x25e6), inode_of("", 1)),
            (Some("4711"), None, None)
        );
    }
}
