//! A connection to an sshd of this machine, for sshfs: its own configuration and keys, no port. ssh starts it
//! as the other end of a pipe.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

/// sshfs's option that connects to the host `here`; keys and configuration lie in `dir`.
///
/// # Errors
/// Keys or files cannot be made.
pub fn command(dir: &Path) -> io::Result<String> {
    if !dir.exists() {
        set_up(dir)?;
    }
    Ok(format!(
        "ssh_command=ssh -F {}",
        dir.join("client").display()
    ))
}

fn set_up(dir: &Path) -> io::Result<()> {
    fs::create_dir(dir)?;
    for key in ["host", "user"] {
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(dir.join(key))
            .status()?;
        if !made.success() {
            return Err(io::Error::other("ssh-keygen failed"));
        }
    }
    let at = |name: &str| dir.join(name).display().to_string();
    fs::copy(dir.join("user.pub"), dir.join("authorized"))?;
    let server = format!(
        "HostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n\
         Subsystem sftp internal-sftp\nLogLevel ERROR\n",
        at("host"),
        at("authorized")
    );
    fs::write(dir.join("server"), server)?;
    // sshd wants a directory that no package makes; root makes it where nobody else sees it.
    let private = "mount -t tmpfs none /run && mkdir /run/sshd && exec /usr/sbin/sshd -i -f";
    let sshd = if nix::unistd::geteuid().is_root() {
        format!("unshare --mount sh -c '{private} {}'", at("server"))
    } else {
        format!("/usr/sbin/sshd -i -f {}", at("server"))
    };
    let client = format!(
        "Host here\nProxyCommand {sshd}\nIdentityFile {}\nIdentitiesOnly yes\n\
         StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\nLogLevel ERROR\n",
        at("user")
    );
    fs::write(dir.join("client"), client)
}
