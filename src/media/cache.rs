//! Prompts in codecs that take long to encode, kept in a folder between one start and the next.
//!
//! A file is named by what is in it: a hash of the clip's samples, of the forms and of how they are encoded. So a clip that
//! changes is encoded anew, and the folder can be emptied at any time. A file that is damaged is one that is not there.

use super::form::{Form, Frames};
use crate::units::rtp::Encoding;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// How clips are encoded; another number whenever the same samples come to other octets.
const VERSION: &[u8] = b"klikon encoded prompts 1";
/// Longest file that is read, octets: ten minutes of a clip in every mode of AMR-WB.
const MAX_FILE_OCTETS: u64 = 16 << 20;
/// Octets of the checksum at a file's end.
const CHECKSUM_OCTETS: usize = 32;

/// The folder.
#[derive(Debug, Clone)]
pub struct PromptCache {
    folder: PathBuf,
}

impl PromptCache {
    /// In a folder, which is made with the first file.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Whether encoding takes so long that its outcome is kept.
    pub fn keeps(encoding: Encoding) -> bool {
        matches!(encoding, Encoding::Amr | Encoding::AmrWb | Encoding::Opus)
    }

    /// A clip in these forms, where it was kept.
    pub fn read(&self, samples: &[i16], forms: &[Form]) -> Option<Vec<Frames>> {
        let path = self.path(samples, forms);
        let length = std::fs::metadata(&path).ok()?.len();
        let octets = std::fs::read(path).ok().filter(|_| length <= MAX_FILE_OCTETS)?;
        let (content, checksum) = octets.split_last_chunk::<CHECKSUM_OCTETS>()?;
        if Sha256::digest(content).as_slice() != checksum {
            return None;
        }
        let mut rest = content;
        let frames: Option<Vec<Frames>> = forms.iter().map(|_| read_frames(&mut rest)).collect();
        frames.filter(|_| rest.is_empty())
    }

    /// Keeps a clip. A folder that cannot be written costs the next start its time, and nothing else.
    pub fn write(&self, samples: &[i16], forms: &[Form], frames: &[Frames]) {
        let mut octets = Vec::new();
        frames.iter().for_each(|frames| write_frames(&mut octets, frames));
        let checksum = Sha256::digest(&octets);
        octets.extend_from_slice(checksum.as_slice());
        if let Err(error) = self.replace(&self.path(samples, forms), &octets) {
            let folder = self.folder.display();
            tracing::warn!(%error, %folder, "an encoded prompt could not be kept; the next start encodes it again");
        }
    }

    /// In one step: a reader sees no file or a whole one.
    fn replace(&self, path: &Path, octets: &[u8]) -> std::io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        std::io::Write::write_all(&mut file, octets)?;
        file.persist(path)?;
        Ok(())
    }

    fn path(&self, samples: &[i16], forms: &[Form]) -> PathBuf {
        let mut hash = Sha256::new();
        hash.update(VERSION);
        for form in forms {
            hash.update([form.index() as u8]);
        }
        // An index ends the list: no form has that one.
        hash.update([u8::MAX]);
        for sample in samples {
            hash.update(sample.to_le_bytes());
        }
        let name: String = hash.finalize().iter().map(|octet| format!("{octet:02x}")).collect();
        self.folder.join(format!("{name}.frames"))
    }
}

/// The number of frames, the length of each, and their octets.
fn write_frames(octets: &mut Vec<u8>, frames: &Frames) {
    let lengths: Vec<u32> = frames.lengths().collect();
    octets.extend((lengths.len() as u32).to_le_bytes());
    octets.extend(lengths.iter().flat_map(|length| length.to_le_bytes()));
    octets.extend_from_slice(frames.octets());
}

fn read_frames(rest: &mut &[u8]) -> Option<Frames> {
    let count = read_number(rest)?;
    let mut ends = Vec::new();
    let mut end = 0_u32;
    for _ in 0..count {
        end = end.checked_add(read_number(rest)?)?;
        ends.push(end);
    }
    let (octets, behind) = rest.split_at_checked(end as usize)?;
    *rest = behind;
    Some(Frames::new(octets.to_vec(), ends))
}

fn read_number(rest: &mut &[u8]) -> Option<u32> {
    let (number, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(u32::from_le_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path) -> Vec<PathBuf> {
        std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect()
    }

    #[test]
    fn what_is_kept_is_found_again_under_its_samples_and_forms_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = PromptCache::new(&folder.path().join("encoded"));
        let forms = [Form::new(Encoding::Amr, 0), Form::new(Encoding::Amr, 7)];
        let frames = [Frames::new(vec![1, 2, 3, 4], vec![2, 4]), Frames::new(vec![5, 6, 7], vec![1, 3])];
        assert_eq!(cache.read(&[1, 2], &forms), None);
        cache.write(&[1, 2], &forms, &frames);
        assert_eq!(cache.read(&[1, 2], &forms), Some(frames.to_vec()));
        assert_eq!(cache.read(&[1, 3], &forms), None);
        assert_eq!(cache.read(&[1, 2], &forms[..1]), None);
        assert_eq!(files(&folder.path().join("encoded")).len(), 1);
    }

    #[test]
    fn a_damaged_file_is_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = PromptCache::new(folder.path());
        let forms = [Form::new(Encoding::Opus, 0)];
        cache.write(&[1], &forms, &[Frames::new(vec![1, 2, 3], vec![3])]);
        let path = files(folder.path()).remove(0);
        let whole = std::fs::read(&path).expect("read");
        for damaged in
            (0..whole.len()).map(|length| whole[..length].to_vec()).chain((0..whole.len()).map(|at| {
                let mut octets = whole.clone();
                octets[at] ^= 1;
                octets
            }))
        {
            std::fs::write(&path, damaged).expect("written");
            assert_eq!(cache.read(&[1], &forms), None);
        }
        std::fs::write(&path, whole).expect("written");
        assert!(cache.read(&[1], &forms).is_some());
    }

    #[test]
    fn a_folder_that_cannot_be_made_costs_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        std::fs::write(&file, "").expect("written");
        let cache = PromptCache::new(&file);
        cache.write(&[1], &[], &[]);
        assert_eq!(cache.read(&[1], &[]), None);
    }
}
