//! A small disk of a run's own.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// A mounted file system. Dropping it unmounts it.
pub(crate) struct Mount(PathBuf);

impl Mount {
    /// A tmpfs of a size, as `mount` writes it.
    ///
    /// # Errors
    /// It is not allowed.
    pub(crate) fn tmpfs(at: &Path, size: &str) -> Result<Self> {
        std::fs::create_dir_all(at)?;
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={size}"), "weir-oracle"]).arg(at);
        let output = command.output().context("mount")?;
        if !output.status.success() {
            bail!("mount: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(Self(at.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: whoever still has a file open there is ended in a moment.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
