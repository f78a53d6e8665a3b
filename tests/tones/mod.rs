//! Prompts for tests: short, so that neither a start nor a call takes long.

use klikon::speech::{Manifest, write_wav};
use std::path::Path;

/// Tones under the ids of the real prompts, each of another pitch.
pub fn write_prompts(folder: &Path) {
    let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("prompts/sq");
    std::fs::create_dir_all(folder).unwrap();
    std::fs::copy(real.join("manifest.toml"), folder.join("manifest.toml")).unwrap();
    for (index, prompt) in Manifest::read(folder).unwrap().prompts.iter().enumerate() {
        let pitch = 300.0 + 20.0 * index as f64;
        let angle = |n: u32| f64::from(n) * pitch * std::f64::consts::TAU / 16_000.0;
        let samples: Vec<i16> = (0..3200).map(|n| (angle(n).sin() * 8000.0) as i16).collect();
        write_wav(&folder.join(prompt.file_name()), &samples).unwrap();
    }
}
