//! What booking costs, beside the bare INSERT of the same rows, and how a year of use fares.
//!
//!     cargo bench --bench ledger                    # 2,000 bookings on SQLite and on PostgreSQL, and as many bare ones
//!     cargo bench --bench ledger -- rate 10000
//!     cargo bench --bench ledger -- year 100000 60000 /dev/shm   # groups, activations a month, folder
//!
//! A booking is an attempt and a hold, each made as a call makes it. The bare one inserts the same rows in one transaction
//! into the same tables, and reads nothing: once with the rules that the database holds by its triggers, once without.

#[path = "../../tests/support/postgres.rs"]
mod cluster;

mod bare;
mod family;
mod rate;
mod year;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let number = |at: usize, default: usize| {
        arguments
            .get(at)
            .map_or(default, |text| text.parse().unwrap_or_else(|error| panic!("{text}: {error}")))
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    match arguments.first().map_or("rate", String::as_str) {
        "rate" => runtime.block_on(rate::measure(number(1, 2_000))),
        "year" => {
            let folder = arguments.get(3).map_or_else(std::env::temp_dir, std::path::PathBuf::from);
            runtime.block_on(year::simulate(number(1, 10_000), number(2, 5_000), &folder));
        }
        other => panic!("`{other}` is neither `rate` nor `year`"),
    }
}
