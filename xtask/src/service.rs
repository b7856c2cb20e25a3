//! Checks of what an operator installs: the systemd units, the site for nginx, the settings for
//! HAProxy, and Prometheus' rules and scrape example.
//!
//! The files are judged by the programs that will read them. Starts no service. Used by
//! `cargo xtask test`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

use crate::run::{command, plainly};
use crate::{packages, workspace};

/// The exposure `systemd-analyze security` may find, times ten.
const EXPOSURE_MAX: &str = "--threshold=12";

/// The units: the one, and the template for instances that share their storage.
const UNITS: [&str; 2] = ["pulseboard.service", "pulseboardd@.service"];

/// From here on both say the same: what the service may do.
const SAME_FROM: &str = "StateDirectoryMode=";

/// The units are understood word by word, and expose no more than they may.
pub(crate) fn units(systemd_analyze: &Path) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut same = Vec::new();
    for name in UNITS {
        let path = workspace::root().join("config/systemd").join(name);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        // As an instance of a template is named.
        let copy = folder.path().join(name.replace('@', "@3001"));
        unit(systemd_analyze, &text, &copy).context(name)?;
        let start = text.find(SAME_FROM).with_context(|| format!("{name} has no {SAME_FROM}"))?;
        same.push(text[start..].to_owned());
    }
    ensure!(same[0] == same[1], "{} and {} differ after {SAME_FROM}", UNITS[0], UNITS[1]);
    Ok(())
}

fn unit(systemd_analyze: &Path, text: &str, copy: &Path) -> anyhow::Result<()> {
    let installed = "/usr/local/bin/pulseboardd";
    ensure!(text.contains(installed), "it does not start {installed}");
    // Verified with the daemon that was just built in the place of the installed one.
    let built = workspace::program("pulseboardd");
    let text = text.replace(installed, built.to_str().context("a path that is not UTF-8")?);
    fs::write(copy, text)?;
    let folder = copy.parent().expect("it lies in a folder");
    let mut verify = command(systemd_analyze, &["verify", "--man=no"], folder);
    let output = verify.arg(copy).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let about_ours: Vec<&str> = said.lines().filter(|line| line.contains("pulseboard")).collect();
    if !output.status.success() || !about_ours.is_empty() {
        bail!("systemd-analyze verify ({}):\n{said}", output.status);
    }
    let arguments = ["security", "--no-pager", "--offline=true", EXPOSURE_MAX];
    let mut security = command(systemd_analyze, &arguments, folder);
    let output = security.arg(copy).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let verdict = said.lines().rfind(|line| line.contains("exposure level")).unwrap_or_default();
    println!("{verdict}");
    ensure!(output.status.success(), "the unit exposes more than it may:\n{said}");
    Ok(())
}

/// Alert rules and scrape example are valid, and each alert fires when it should.
pub(crate) fn prometheus(promtool: &Path) -> anyhow::Result<()> {
    // In a copy: the example names the file of a token, which is nobody's here.
    let folder = tempfile::tempdir()?;
    for name in ["prometheus.yml", "alerts.yml", "alerts.test.yml"] {
        let from = workspace::root().join("config/prometheus").join(name);
        fs::copy(&from, folder.path().join(name)).with_context(|| from.display().to_string())?;
    }
    fs::write(folder.path().join("pulseboard.token"), "a token\n")?;
    for arguments in [
        ["check", "config", "prometheus.yml"],
        ["check", "rules", "alerts.yml"],
        ["test", "rules", "alerts.test.yml"],
    ] {
        plainly(&mut command(promtool, &arguments, folder.path()))?;
    }
    Ok(())
}

/// The example for nginx is one that nginx takes.
pub(crate) fn proxy(nginx: &Path) -> anyhow::Result<()> {
    let site = workspace::root().join("config/nginx/pulseboard.conf");
    let folder = tempfile::tempdir()?;
    certificate(folder.path())?;
    let here = folder.path().display().to_string();
    let site = fs::read_to_string(site)?
        .replace("/etc/ssl/pulseboard", &here)
        .replace("/var/log/nginx", &here);
    fs::write(folder.path().join("site.conf"), site)?;
    let main = format!(
        "pid {here}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\ninclude {here}/site.conf;\n\
         client_body_temp_path {here}/body;\nproxy_temp_path {here}/proxy;\n\
         fastcgi_temp_path {here}/fastcgi;\nuwsgi_temp_path {here}/uwsgi;\n\
         scgi_temp_path {here}/scgi;\n}}\n"
    );
    fs::write(folder.path().join("nginx.conf"), main)?;
    let mut test = command(nginx, &["-q", "-t", "-p", &here, "-c"], folder.path());
    plainly(test.arg(folder.path().join("nginx.conf")))
}

/// The examples for HAProxy, for machines and for containers, are ones that it takes.
pub(crate) fn balancer(haproxy: &Path) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    certificate(folder.path())?;
    let mut both = fs::read(folder.path().join("fullchain.pem"))?;
    both.extend(fs::read(folder.path().join("privkey.pem"))?);
    fs::write(folder.path().join("pulseboard.pem"), both)?;
    let here = folder.path().display().to_string();
    for path in ["config/haproxy/pulseboard.cfg", "config/container/haproxy.cfg"] {
        let text = fs::read_to_string(workspace::root().join(path)).context(path)?;
        let copy = folder.path().join("haproxy.cfg");
        fs::write(
            &copy,
            text.replace("/etc/haproxy/pulseboard.pem", &format!("{here}/pulseboard.pem")),
        )?;
        let output = command(haproxy, &["-c", "-f"], folder.path()).arg(&copy).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        // What works and is going away is said as a warning, and succeeds.
        ensure!(output.status.success() && !said.contains("[WARNING]"), "{path}:\n{said}");
    }
    Ok(())
}

/// A certificate to try things with: `fullchain.pem` and `privkey.pem`.
fn certificate(folder: &Path) -> anyhow::Result<()> {
    packages::openssl()?;
    let files = ["-keyout", "privkey.pem", "-out", "fullchain.pem", "-days", "2"];
    let mut openssl = command("openssl", &["req", "-x509", "-nodes"], folder);
    openssl.args(["-newkey", "rsa:2048", "-subj", "/CN=localhost"]).args(files);
    ensure!(openssl.output()?.status.success(), "openssl makes no certificate");
    Ok(())
}

/// `nginx` as it is installed, else unpacked as [`promtool`] is.
pub(crate) fn nginx() -> anyhow::Result<PathBuf> {
    let installed = Path::new("/usr/sbin/nginx");
    if installed.is_file() {
        return Ok(installed.to_owned());
    }
    unpacked("nginx", "usr/sbin/nginx")
}

/// `promtool` as it is installed, else out of Debian's package `prometheus`, unpacked beside our
/// own build: nothing is installed, so that no Prometheus starts.
pub(crate) fn promtool() -> anyhow::Result<PathBuf> {
    if let Some(found) = packages::which("promtool") {
        return Ok(found);
    }
    unpacked("prometheus", "usr/bin/promtool")
}

fn unpacked(package: &str, program: &str) -> anyhow::Result<PathBuf> {
    let folder = workspace::target().join("tools").join(package);
    let unpacked = folder.join(program);
    if !unpacked.is_file() {
        fs::create_dir_all(&folder)?;
        packages::apt_unpack(package, &folder)?;
    }
    ensure!(unpacked.is_file(), "Debian's package {package} holds no {program}");
    Ok(unpacked)
}
