//! A WAV file with marks: 16-bit PCM, and a `cue ` chunk whose labels an editor shows above the sound.

use std::io::{self, Write};

/// A mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The sample of each channel that it is at.
    pub sample: u32,
    /// What it says.
    pub label: String,
}

/// Writes a whole file.
pub fn write(
    out: &mut dyn Write,
    rate_hz: u32,
    channels: u16,
    samples: &[i16],
    marks: &[Mark],
) -> io::Result<()> {
    let audio: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let mut chunks = Vec::new();
    let block = channels * 2;
    let mut format = Vec::new();
    for half in [1, channels] {
        format.extend_from_slice(&half.to_le_bytes());
    }
    format.extend_from_slice(&rate_hz.to_le_bytes());
    format.extend_from_slice(&(rate_hz * u32::from(block)).to_le_bytes());
    for half in [block, 16] {
        format.extend_from_slice(&half.to_le_bytes());
    }
    chunk(&mut chunks, b"fmt ", &format)?;
    chunk(&mut chunks, b"data", &audio)?;
    if !marks.is_empty() {
        chunk(&mut chunks, b"cue ", &cues(marks))?;
        chunk(&mut chunks, b"LIST", &labels(marks)?)?;
    }
    let mut file = b"WAVE".to_vec();
    file.append(&mut chunks);
    let mut whole = Vec::new();
    chunk(&mut whole, b"RIFF", &file)?;
    out.write_all(&whole)
}

/// A chunk begins at an even octet.
fn chunk(to: &mut Vec<u8>, name: &[u8; 4], content: &[u8]) -> io::Result<()> {
    let length = u32::try_from(content.len()).map_err(|_| io::Error::other("too long for a WAV file"))?;
    to.extend_from_slice(name);
    to.extend_from_slice(&length.to_le_bytes());
    to.extend_from_slice(content);
    if content.len() % 2 == 1 {
        to.push(0);
    }
    Ok(())
}

fn cues(marks: &[Mark]) -> Vec<u8> {
    let mut content = (marks.len() as u32).to_le_bytes().to_vec();
    for (number, mark) in (1_u32..).zip(marks) {
        content.extend_from_slice(&number.to_le_bytes());
        content.extend_from_slice(&mark.sample.to_le_bytes());
        content.extend_from_slice(b"data");
        content.extend_from_slice(&[0; 8]);
        content.extend_from_slice(&mark.sample.to_le_bytes());
    }
    content
}

fn labels(marks: &[Mark]) -> io::Result<Vec<u8>> {
    let mut content = b"adtl".to_vec();
    for (number, mark) in (1_u32..).zip(marks) {
        let label = [&number.to_le_bytes()[..], mark.label.as_bytes(), &[0]].concat();
        chunk(&mut content, b"labl", &label)?;
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_reader_reads_it() {
        let marks = [(0, "node welcome"), (3, "key 1")]
            .map(|(sample, label)| Mark { sample, label: label.to_owned() });
        let samples = [1, -1, 2, -2, i16::MAX, i16::MIN, 0, 5];
        let mut file = Vec::new();
        write(&mut file, 16_000, 2, &samples, &marks).unwrap();
        let mut reader = hound::WavReader::new(file.as_slice()).unwrap();
        let spec = reader.spec();
        assert_eq!((spec.sample_rate, spec.channels, spec.bits_per_sample), (16_000, 2, 16));
        assert_eq!(reader.samples::<i16>().map(Result::unwrap).collect::<Vec<_>>(), samples);
        assert_eq!(file.len() as u32 - 8, u32::from_le_bytes([file[4], file[5], file[6], file[7]]));
        let text = String::from_utf8_lossy(&file);
        assert!(text.contains("labl") && text.contains("node welcome\0") && text.contains("key 1\0"));
    }
}
