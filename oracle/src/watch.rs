//! Ends what the oracle started when the oracle is gone, however it went: a shell
//! reads process ids from a pipe that only the oracle holds open.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use rustix::process::Pid;

/// `+ID` minds a process, `-ID` forgets it.
const SCRIPT: &str = r#"
minded=" "
while read -r line; do
    id=${line#?}
    case $line in
        +*) minded="$minded$id " ;;
        -*) minded="${minded%% $id *} ${minded#* $id }" ;;
    esac
done
for id in $minded; do kill -KILL "$id"; done
"#;

/// Minds processes. Cloning shares.
#[derive(Clone)]
pub(crate) struct Watch(Arc<Shell>);

struct Shell {
    pipe: Mutex<Option<ChildStdin>>,
    child: Mutex<Child>,
}

impl Watch {
    /// Minds nobody yet.
    ///
    /// # Errors
    /// There is no shell.
    pub(crate) fn start() -> Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "weir-oracle-watch"]).stdin(Stdio::piped());
        command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let mut child = command.spawn().context("sh")?;
        let pipe = Mutex::new(child.stdin.take());
        Ok(Self(Arc::new(Shell { pipe, child: Mutex::new(child) })))
    }

    /// Ends this process, too.
    pub(crate) fn mind(&self, pid: Pid) {
        self.say('+', pid);
    }

    /// It is gone: its id may soon be another's.
    pub(crate) fn forget(&self, pid: Pid) {
        self.say('-', pid);
    }

    fn say(&self, what: char, pid: Pid) {
        let mut pipe = self.0.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipe) = pipe.as_mut() {
            // Without its watch the oracle still ends what it started itself.
            let _ = writeln!(pipe, "{what}{}", pid.as_raw_nonzero());
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        drop(self.pipe.get_mut().unwrap_or_else(PoisonError::into_inner).take());
        let _ = self.child.get_mut().unwrap_or_else(PoisonError::into_inner).wait();
    }
}
