//! `klikon prompts`: make, check and list the recorded prompts.

use crate::speech::{self, Limits, Manifest, Source, Voice};
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Make, check and list the recorded prompts.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  klikon prompts check\n  klikon prompts synthesise --lang sq")]
pub struct PromptsArguments {
    #[command(subcommand)]
    command: PromptsCommand,
}

#[derive(Debug, Subcommand)]
enum PromptsCommand {
    /// Make the clips whose manifest source is espeak-ng; recordings are left alone.
    Synthesise {
        /// The language of the prompts: the folder under `prompts/`.
        #[arg(long, default_value = "sq")]
        lang: String,
        /// The folder of prompts, instead of `prompts/LANG`.
        #[arg(long, value_name = "FOLDER")]
        dir: Option<PathBuf>,
        /// Only these clips.
        #[arg(value_name = "ID")]
        ids: Vec<String>,
    },
    /// Say what is missing, extra, clipped, too loud or quiet, badly trimmed or in the wrong format; fails when
    /// anything is.
    Check {
        /// The folder of prompts.
        #[arg(long, value_name = "FOLDER", default_value = "prompts/sq")]
        dir: PathBuf,
    },
    /// List the clips: id, length, where the sound comes from, what it says.
    List {
        /// The folder of prompts.
        #[arg(long, value_name = "FOLDER", default_value = "prompts/sq")]
        dir: PathBuf,
    },
}

/// Runs the command.
pub fn run(arguments: PromptsArguments) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match arguments.command {
        PromptsCommand::Synthesise { lang, dir, ids } => {
            let dir = dir.unwrap_or_else(|| Path::new("prompts").join(lang));
            synthesise(&dir, &ids, &mut out)
        }
        PromptsCommand::Check { dir } => check(&dir, &mut out),
        PromptsCommand::List { dir } => list(&dir, &mut out),
    }
}

fn synthesise(dir: &Path, ids: &[String], out: &mut impl Write) -> anyhow::Result<()> {
    let manifest = Manifest::read(dir)?;
    if let Some(unknown) = ids.iter().find(|id| !manifest.ids().any(|known| known == id.as_str())) {
        bail!("`{unknown}` is not in {}; add it there first", dir.join(speech::FILE_NAME).display());
    }
    let chosen: Vec<_> =
        manifest.prompts.iter().filter(|entry| ids.is_empty() || ids.contains(&entry.id)).collect();
    let voice = Voice::new(&manifest.voice);
    // The progress goes to a person only; what changed goes to the output.
    let progress = std::io::stderr().is_terminal();
    let (mut changed, mut same, mut recorded) = (0, 0, 0);
    for (index, entry) in chosen.iter().enumerate() {
        if progress {
            eprint!("\r\x1b[K{}/{} {}", index + 1, chosen.len(), entry.id);
        }
        if let Source::Recorded(_) = entry.source {
            recorded += 1;
            continue;
        }
        let path = dir.join(entry.file_name());
        let samples = voice
            .speak(entry, manifest.loudness_of(entry))
            .with_context(|| format!("prompt `{}`", entry.id))?;
        let existed = path.exists();
        if speech::write_wav(&path, &samples).with_context(|| path.display().to_string())? {
            changed += 1;
            if progress {
                eprint!("\r\x1b[K");
            }
            writeln!(out, "{} {}", if existed { "changed" } else { "new    " }, path.display())?;
        } else {
            same += 1;
        }
    }
    if progress {
        eprint!("\r\x1b[K");
    }
    writeln!(out, "{changed} written, {same} unchanged, {recorded} recordings left alone")?;
    Ok(())
}

fn check(dir: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    let findings = speech::check(dir, &Limits::default())?;
    for finding in &findings {
        writeln!(out, "{finding}")?;
    }
    match findings.len() {
        0 => Ok(writeln!(out, "{}: nothing is wrong", dir.display())?),
        count => bail!("{}: {count} finding(s)", dir.display()),
    }
}

fn list(dir: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    let manifest = Manifest::read(dir)?;
    for entry in &manifest.prompts {
        let length = match speech::read_wav(&dir.join(entry.file_name())) {
            Ok(samples) => format!("{:5.2} s", samples.len() as f64 / f64::from(speech::SAMPLE_RATE_HZ)),
            Err(_) => "missing".to_owned(),
        };
        let source = match &entry.source {
            Source::Synthetic => "espeak-ng",
            Source::Recorded(by) => by,
        };
        writeln!(out, "{:<24} {length:>8}  {source:<12} {}", entry.id, entry.text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Needs no synthesiser, since there is nothing for it to do.
    #[test]
    fn a_recording_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = "language = \"sq\"\nloudness = -22.0\n[voice]\nname = \"sq\"\nspeed = 150\npitch = 45\n\
            unit_speed = 145\nunit_range = 40\n[[prompt]]\nid = \"a\"\ntext = \"A.\"\nsource = \"the studio\"\n";
        std::fs::write(folder.path().join(speech::FILE_NAME), manifest).unwrap();
        std::fs::write(folder.path().join("a.wav"), b"as the studio made it").unwrap();
        let mut out = Vec::new();
        synthesise(folder.path(), &[], &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "0 written, 0 unchanged, 1 recordings left alone\n");
        assert_eq!(std::fs::read(folder.path().join("a.wav")).unwrap(), b"as the studio made it");
        let refused = synthesise(folder.path(), &["b".to_owned()], &mut Vec::new()).unwrap_err();
        assert!(refused.to_string().starts_with("`b` is not in "), "{refused}");
        let mut out = Vec::new();
        let failed = check(folder.path(), &mut out).unwrap_err();
        assert!(failed.to_string().ends_with("1 finding(s)"), "{failed}");
        assert!(String::from_utf8(out).unwrap().contains("a.wav: it is not a sound WAV file"));
    }

    #[test]
    fn the_list_names_every_clip() {
        let mut out = Vec::new();
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("prompts/sq");
        list(&dir, &mut out).unwrap();
        let listed = String::from_utf8(out).unwrap();
        let line = listed.lines().find(|line| line.starts_with("goodbye ")).unwrap();
        assert!(line.ends_with("s  espeak-ng    Faleminderit. Mirupafshim."), "{line}");
        assert_eq!(listed.lines().count(), Manifest::read(&dir).unwrap().prompts.len());
    }
}
