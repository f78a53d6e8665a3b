//! The command line of `klikon admin`.

use super::parse;
use crate::klikon::PackageName;
use crate::units::{FixedNumber, Money, Msisdn};
use clap::{Args, Subcommand};
use jiff::civil::Date;
use std::path::PathBuf;

/// Groups, members, leaders, packages and terms in the database of the settings.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  klikon admin seed
  klikon admin group create 042250928
  klikon admin member add 042250928 0672123456
  klikon admin leader grant 042250928 0672123456 --by \"Lider Fiks\" --declaration D-2026/17
  klikon admin package add \"Super 1500\" --price 1500 --from 2026-12-01
  klikon admin member remove 042250928 0672123456 --reason \"order 17\"
  klikon admin import members.csv --dry-run
  klikon admin history --contract 042250928")]
pub struct AdminArguments {
    #[command(subcommand)]
    pub(super) command: AdminCommand,
    /// Print JSON instead of tables.
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Who makes the change; the user whom the command runs as when left out. It stands in the trail.
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) actor: Option<String>,
    /// Why; it stands in the trail. What takes something away, or changes prices or terms, needs one. Write no names of
    /// subscribers into it.
    #[arg(long, global = true, value_name = "TEXT")]
    pub(super) reason: Option<String>,
}

impl AdminCommand {
    /// Whether it is not done without a reason.
    pub(super) fn needs_reason(&self) -> bool {
        match self {
            Self::Group(command) => matches!(command, GroupCommand::Close { .. }),
            Self::Member(command) => matches!(command, MemberCommand::Remove { .. }),
            Self::Leader(command) => match command {
                LeaderCommand::Revoke { .. } => true,
                LeaderCommand::Pin { unlock, clear, .. } => *unlock || *clear,
                LeaderCommand::Grant { .. } | LeaderCommand::History { .. } => false,
            },
            Self::Package(command) => !matches!(command, PackageCommand::List),
            Self::Terms(command) => !matches!(command, TermsCommand::List),
            Self::Erase { .. } => true,
            Self::Contact(_) | Self::Seed | Self::Import { .. } | Self::List | Self::History { .. } => false,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum AdminCommand {
    /// SuperFamilja groups: one fixed-line contract each.
    #[command(subcommand)]
    Group(GroupCommand),
    /// The mobile numbers of a group.
    #[command(subcommand)]
    Member(MemberCommand),
    /// The one member of a group who may use 130.
    #[command(subcommand)]
    Leader(LeaderCommand),
    /// The Lideri Fiks of a contract, as a person: to whom its statements go.
    #[command(subcommand)]
    Contact(ContactCommand),
    /// Erase what names a person, for good; money, numbers and the ledger's rows stay.
    Erase {
        /// Of a fixed line: its Lideri Fiks, by name and e-mail address, and by name where he granted the right of the
        /// Lider Mobile.
        #[arg(long, value_parser = parse::contract, required_unless_present = "number", conflicts_with = "number")]
        contract: Option<FixedNumber>,
        /// Of a mobile number: what the records of its calls keep of what the caller's side said of him.
        #[arg(long, value_parser = parse::msisdn)]
        number: Option<Msisdn>,
    },
    /// The dated catalogue.
    #[command(subcommand)]
    Package(PackageCommand),
    /// The dated terms: discount, limit, lowest package, members.
    #[command(subcommand)]
    Terms(TermsCommand),
    /// Put the first catalogue and terms into an empty database.
    Seed,
    /// Import members or packages from a CSV file, whole or not at all.
    ///
    /// The header says which: `contract,msisdn,role,granted_by,channel,declaration` or
    /// `package,list_price,valid_from,valid_until,announced_on`.
    Import {
        /// The file.
        file: PathBuf,
        /// Only say, line by line, what would be done.
        #[arg(long)]
        dry_run: bool,
    },
    /// All groups with their leader, members and what this month has left.
    List,
    /// The trail: who changed what, when and why.
    History {
        /// Only of the groups of a fixed line.
        #[arg(long, value_parser = parse::contract)]
        contract: Option<FixedNumber>,
        /// Only from this day in Tirane on, such as 2026-11-01.
        #[arg(long, value_parser = parse::day)]
        since: Option<Date>,
        /// How many at most, the latest.
        #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        last: u32,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum GroupCommand {
    /// Open the group of a contract.
    Create {
        /// The fixed line, such as 042250928.
        #[arg(value_parser = parse::contract)]
        contract: FixedNumber,
    },
    /// Close the group of a contract: nobody activates for it any more; what is booked stays.
    Close {
        /// The fixed line, such as 042250928.
        #[arg(value_parser = parse::contract)]
        contract: FixedNumber,
    },
    /// All groups, the closed ones too.
    List,
}

#[derive(Debug, Subcommand)]
pub(super) enum MemberCommand {
    /// Add a number to a group.
    Add {
        /// The fixed line of the group.
        #[arg(value_parser = parse::contract)]
        contract: FixedNumber,
        /// The mobile number, such as 0672123456.
        #[arg(value_parser = parse::msisdn)]
        number: Msisdn,
    },
    /// End a membership, and the right of the Lider Mobile with it.
    Remove {
        /// The fixed line of the group.
        #[arg(value_parser = parse::contract)]
        contract: FixedNumber,
        /// The mobile number.
        #[arg(value_parser = parse::msisdn)]
        number: Msisdn,
    },
    /// The memberships of a group, past ones too.
    List {
        /// The fixed line of the group.
        #[arg(value_parser = parse::contract)]
        contract: FixedNumber,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum LeaderCommand {
    /// Grant a member the right to use 130; who had it loses it.
    Grant {
        /// The fixed line of the group.
        #[arg(value_parser = parse::contract)]
        contract: FixedNumber,
        /// The member's number.
        #[arg(value_parser = parse::msisdn)]
        number: Msisdn,
        /// Who grants it: the Lider Fiks.
        #[arg(long = "by", value_parser = parse::words)]
        granted_by: String,
        /// The number of the declaration signed in a shop.
        #[arg(long, value_parser = parse::words, required_unless_present = "online", conflicts_with = "online")]
        declaration: Option<String>,
        /// Granted online, without a declaration.
        #[arg(long)]
        online: bool,
    },
    /// Take the right back; nobody may use 130 for the group then.
    Revoke {
        /// The fixed line of the group.
        #[arg(value_parser = parse::contract)]
        contract: FixedNumber,
    },
    /// Set the PIN that the current leader keys where his number alone is not enough. It is read from standard input,
    /// so that it stands in no list of processes and in no history.
    Pin {
        /// The fixed line of the group.
        #[arg(value_parser = parse::contract)]
        contract: FixedNumber,
        /// Make a PIN of six digits, and print it once.
        #[arg(long, conflicts_with_all = ["unlock", "clear"])]
        generate: bool,
        /// Take the lock away that wrong PINs have brought; the PIN stays.
        #[arg(long, conflicts_with = "clear")]
        unlock: bool,
        /// Take the PIN away.
        #[arg(long)]
        clear: bool,
    },
    /// Who had the right, since when, until when, granted by whom and how.
    History {
        /// The fixed line of the group.
        #[arg(value_parser = parse::contract)]
        contract: FixedNumber,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum ContactCommand {
    /// Enter his name or e-mail address; what is left out stays.
    #[command(group(clap::ArgGroup::new("what").required(true).multiple(true).args(["name", "email"])))]
    Set {
        /// The fixed line.
        #[arg(value_parser = parse::contract)]
        contract: FixedNumber,
        /// His name.
        #[arg(long, value_parser = parse::words)]
        name: Option<String>,
        /// His e-mail address.
        #[arg(long, value_parser = parse::words)]
        email: Option<String>,
    },
    /// What is known of him.
    Show {
        /// The fixed line.
        #[arg(value_parser = parse::contract)]
        contract: FixedNumber,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum PackageCommand {
    /// Add a package, or another price of one that is retired by then (30 days' notice).
    Add {
        /// Its name, such as "Super 1500".
        name: PackageName,
        /// List price in Lek, VAT included.
        #[arg(long, value_parser = parse::price)]
        price: Money,
        /// First day sold; today when left out.
        #[arg(long, value_parser = parse::day)]
        from: Option<Date>,
        /// First day not sold any more.
        #[arg(long, value_parser = parse::day)]
        until: Option<Date>,
        /// The day a changed price was announced; today when left out.
        #[arg(long, value_parser = parse::day)]
        announced: Option<Date>,
    },
    /// Stop selling a package.
    Retire {
        /// Its name.
        name: PackageName,
        /// First day not sold any more; today when left out.
        #[arg(long, value_parser = parse::day)]
        from: Option<Date>,
    },
    /// All versions of all packages, with their price on 130 today.
    List,
}

#[derive(Debug, Subcommand)]
pub(super) enum TermsCommand {
    /// Enter the next version; what is left out stays as in the latest.
    Add {
        /// First day they hold, 30 days after the notice at the earliest.
        #[arg(long, value_parser = parse::day)]
        effective: Date,
        /// The day every subscriber was told; today when left out.
        #[arg(long, value_parser = parse::day)]
        announced: Option<Date>,
        /// Lek taken off every package on 130.
        #[arg(long, value_parser = parse::amount)]
        discount: Option<Money>,
        /// Lek a group may spend in a month, net.
        #[arg(long, value_parser = parse::price)]
        limit: Option<Money>,
        /// Lek of the lowest list price offered on 130.
        #[arg(long, value_parser = parse::price)]
        lowest_package: Option<Money>,
        /// Mobile members a group may have, 1 to 255.
        #[arg(long, value_parser = clap::value_parser!(u8).range(1..))]
        members_max: Option<u8>,
    },
    /// All versions.
    List,
}
