//! What listeners would say of a stream, by the E-model (ITU-T G.107) with its default values.

/// R of a connection without any impairment, at the defaults of G.107 table 2.
const R_WITHOUT_IMPAIRMENT: f64 = 93.2;

/// How an encoding suffers by itself and by lost packets (ITU-T G.113 appendix I).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Impairment {
    /// Ie.
    pub equipment: f64,
    /// Bpl.
    pub loss_robustness: f64,
}

impl Impairment {
    /// G.711 in a receiver that conceals losses.
    pub const G711: Self = Self { equipment: 0.0, loss_robustness: 25.1 };
}

/// The mean opinion score, 1 (bad) to 4.5 (as good as narrowband gets).
///
/// `loss` is the share of packets that were lost, at random, 0 to 1; `one_way_delay_ms` is from mouth to ear. Echo is taken
/// as cancelled.
pub fn mean_opinion_score(impairment: Impairment, loss: f64, one_way_delay_ms: f64) -> f64 {
    let percent = loss.clamp(0.0, 1.0) * 100.0;
    let Impairment { equipment, loss_robustness } = impairment;
    let by_loss = equipment + (95.0 - equipment) * percent / (percent + loss_robustness);
    let r = R_WITHOUT_IMPAIRMENT - delay_impairment(one_way_delay_ms) - by_loss;
    match r {
        r if r <= 0.0 => 1.0,
        r if r >= 100.0 => 4.5,
        r => (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).max(1.0),
    }
}

/// Idd of G.107 §7.4: what delay alone takes away, from 100 ms on.
fn delay_impairment(delay_ms: f64) -> f64 {
    if delay_ms <= 100.0 {
        return 0.0;
    }
    let x = (delay_ms / 100.0).log2();
    let sixth = |value: f64| (1.0 + value.powi(6)).powf(1.0 / 6.0);
    25.0 * (sixth(x) - 3.0 * sixth(x / 3.0) + 2.0)
}
