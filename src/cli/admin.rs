//! `klikon admin`: groups, members, leaders, packages and terms.

mod arguments;
mod contact;
mod history;
mod import;
pub(super) mod parse;
mod pin;
pub(super) mod table;

pub use arguments::AdminArguments;

use crate::klikon::{self, Terms, TermsVersion};
use crate::store::{self, AdminError, Entered, GrantChannel, NewPackage, Store};
use crate::units::{FixedNumber, Month};
use arguments::{AdminCommand, GroupCommand, LeaderCommand, MemberCommand, PackageCommand, TermsCommand};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use std::io::Write;
use table::{Table, local_time, local_time_option};

/// The output of one command: text for people, or JSON.
struct Answer {
    text: String,
    json: serde_json::Value,
}

impl Answer {
    fn done(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { json: json!({ "done": text }), text: text + "\n" }
    }

    fn table(table: &Table, json: impl serde::Serialize) -> anyhow::Result<Self> {
        Ok(Self { text: table.to_string(), json: serde_json::to_value(json)? })
    }
}

/// Runs `klikon admin …` on the database at `now` and prints to `out`.
pub async fn run(
    arguments: AdminArguments,
    database: &store::Settings,
    now: Timestamp,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let AdminArguments { command, json, actor, reason } = arguments;
    anyhow::ensure!(
        reason.is_some() || !command.needs_reason(),
        "--reason is missing: write why, such as --reason \"order 17\"; it stands in `klikon admin history`"
    );
    let acting = super::actor::actor(actor.as_deref(), reason.as_deref(), now)?;
    let store = Store::open(database).await?.acting_as(acting);
    let answer = match command {
        AdminCommand::Group(command) => group(command, &store, now).await?,
        AdminCommand::Member(command) => member(command, &store, now).await?,
        AdminCommand::Leader(command) => leader(command, &store, now).await?,
        AdminCommand::Contact(command) => contact::run(command, &store, now).await?,
        AdminCommand::Erase { contract, number } => contact::erase(contract, number, &store, now).await?,
        AdminCommand::Package(command) => package(command, &store, now).await?,
        AdminCommand::Terms(command) => terms(command, &store, now).await?,
        AdminCommand::Seed => match store.seed_catalogue(klikon::day_of(now)).await? {
            true => Answer::done("the first catalogue and terms are entered"),
            false => Answer::done("nothing to do: there are packages and terms already"),
        },
        AdminCommand::Import { file, dry_run } => {
            let (actor, reason) = (actor.as_deref(), reason.as_deref());
            let acting = |why: &str| super::actor::actor(actor, Some(&said_and(reason, why)), now);
            import::run(&file, dry_run, &store, &acting, now, out).await?
        }
        AdminCommand::List => list(&store, now).await?,
        AdminCommand::History { contract, since, last } => {
            history::show(&store, contract, since, last).await?
        }
    };
    if json {
        writeln!(out, "{:#}", answer.json)?;
    } else {
        write!(out, "{}", answer.text)?;
    }
    Ok(())
}

/// The reason that was given, and what else is known.
fn said_and(reason: Option<&str>, why: &str) -> String {
    reason.map_or_else(|| why.to_owned(), |reason| format!("{reason}; {why}"))
}

async fn group(command: GroupCommand, store: &Store, now: Timestamp) -> anyhow::Result<Answer> {
    match command {
        GroupCommand::Create { contract } => {
            let group = store.create_group(&contract, now).await?;
            Ok(Answer::done(format!("group {} of {contract} is open", group.id)))
        }
        GroupCommand::Close { contract } => {
            let group = store.close_group(&contract, now).await?;
            Ok(Answer::done(format!("group {} of {contract} is closed", group.id)))
        }
        GroupCommand::List => {
            let groups = store.groups().await?;
            let mut table = Table::new(&["group", "contract", "opened", "closed"], &[0]);
            for group in &groups {
                let (opened, closed) = (local_time(group.opened_at), local_time_option(group.closed_at));
                table.row([group.id.to_string(), group.contract.to_string(), opened, closed]);
            }
            Answer::table(&table, groups)
        }
    }
}

async fn member(command: MemberCommand, store: &Store, now: Timestamp) -> anyhow::Result<Answer> {
    match command {
        MemberCommand::Add { contract, number } => {
            store.add_member(&contract, number, now).await?;
            Ok(Answer::done(format!("{} is a member of the group of {contract}", number.national())))
        }
        MemberCommand::Remove { contract, number } => {
            store.remove_member(&contract, number, now).await?;
            Ok(Answer::done(format!("{} has left the group of {contract}", number.national())))
        }
        MemberCommand::List { contract } => {
            let members = store.members(group_of(store, &contract).await?.id).await?;
            let mut table = Table::new(&["member", "joined", "left"], &[]);
            for member in &members {
                let (joined, left) = (local_time(member.joined_at), local_time_option(member.left_at));
                table.row([member.msisdn.national(), joined, left]);
            }
            Answer::table(&table, members)
        }
    }
}

async fn leader(command: LeaderCommand, store: &Store, now: Timestamp) -> anyhow::Result<Answer> {
    match command {
        LeaderCommand::Grant { contract, number, granted_by, declaration, online: _ } => {
            let channel = match declaration {
                Some(declaration) => GrantChannel::Shop { declaration },
                None => GrantChannel::Online,
            };
            store.grant_leader(&contract, number, &granted_by, &channel, now).await?;
            Ok(Answer::done(format!("{} is the Lider Mobile of {contract}", number.national())))
        }
        LeaderCommand::Revoke { contract } => {
            store.revoke_leader(&contract, now).await?;
            Ok(Answer::done(format!("{contract} has no Lider Mobile any more")))
        }
        LeaderCommand::Pin { contract, unlock: true, .. } => {
            store.unlock_pin(&contract, now).await?;
            Ok(Answer::done(format!("the PIN of the Lider Mobile of {contract} can be keyed again")))
        }
        LeaderCommand::Pin { contract, clear: true, .. } => {
            store.clear_pin(&contract, now).await?;
            Ok(Answer::done(format!("the Lider Mobile of {contract} has no PIN any more")))
        }
        LeaderCommand::Pin { contract, generate, .. } => pin::set(store, &contract, generate, now).await,
        LeaderCommand::History { contract } => {
            let history = store.leaders(group_of(store, &contract).await?.id).await?;
            let mut table = Table::new(
                &["leader", "since", "until", "granted by", "channel", "entered by", "reason"],
                &[],
            );
            for entry in &history {
                let channel = match &entry.channel {
                    GrantChannel::Shop { declaration } => format!("shop, declaration {declaration}"),
                    GrantChannel::Online => "online".to_owned(),
                };
                let (since, until) = (local_time(entry.since), local_time_option(entry.until));
                let [by, why] = entered(entry.entered.as_ref());
                table.row([
                    entry.msisdn.national(),
                    since,
                    until,
                    entry.granted_by.clone(),
                    channel,
                    by,
                    why,
                ]);
            }
            Answer::table(&table, history)
        }
    }
}

async fn package(command: PackageCommand, store: &Store, now: Timestamp) -> anyhow::Result<Answer> {
    let today = klikon::day_of(now);
    match command {
        PackageCommand::Add { name, price, from, until, announced } => {
            let package = NewPackage {
                name,
                list: price,
                announced_on: announced.unwrap_or(today),
                valid_from: from.unwrap_or(today),
                valid_until: until,
            };
            store.add_package(&package, today).await?;
            Ok(Answer::done(format!("{name} costs {price} from {}", package.valid_from)))
        }
        PackageCommand::Retire { name, from } => {
            let from = from.unwrap_or(today);
            store.retire_package(name, from, today).await?;
            Ok(Answer::done(format!("{name} is not sold any more from {from}")))
        }
        PackageCommand::List => {
            let (packages, versions) = (store.packages_entered().await?, store.terms().await?);
            let terms = klikon::in_force(&versions, today).map(|version| version.terms);
            let header =
                ["package", "list price", "on 130 today", "sold from", "until", "entered by", "reason"];
            let mut table = Table::new(&header, &[1, 2]);
            for (package, who) in &packages {
                let offered = terms.map(|terms| klikon::offered(package, &terms, today));
                let on_130 = match offered {
                    Some(Ok(net)) => net.to_string(),
                    Some(Err(why)) => format!("no: {why}"),
                    None => "no: there are no terms".to_owned(),
                };
                let until = package.valid_until.map_or_else(|| "-".to_owned(), |day| day.to_string());
                let (name, list) = (package.name.to_string(), package.list.to_string());
                let [by, why] = entered(who.as_ref());
                table.row([name, list, on_130, package.valid_from.to_string(), until, by, why]);
            }
            Answer::table(&table, with_entered(&packages)?)
        }
    }
}

async fn terms(command: TermsCommand, store: &Store, now: Timestamp) -> anyhow::Result<Answer> {
    let today = klikon::day_of(now);
    match command {
        TermsCommand::Add { effective, announced, discount, limit, lowest_package, members_max } => {
            let versions = store.terms().await?;
            let latest = versions.last().map(|version| version.terms);
            let left_out = |key| anyhow::anyhow!("--{key} is missing: the first terms need every value");
            let terms = Terms {
                discount: discount.or(latest.map(|t| t.discount)).ok_or_else(|| left_out("discount"))?,
                limit: limit.or(latest.map(|t| t.limit)).ok_or_else(|| left_out("limit"))?,
                lowest_package: lowest_package
                    .or(latest.map(|t| t.lowest_package))
                    .ok_or_else(|| left_out("lowest-package"))?,
                members_max: members_max
                    .or(latest.map(|t| t.members_max))
                    .ok_or_else(|| left_out("members-max"))?,
            };
            let announced_on = announced.unwrap_or(today);
            store.add_terms(TermsVersion { terms, announced_on, effective_on: effective }, today).await?;
            Ok(Answer::done(format!("the new terms hold from {effective}")))
        }
        TermsCommand::List => {
            let versions = store.terms_entered().await?;
            let header = [
                "from",
                "announced",
                "discount",
                "limit a month",
                "lowest package",
                "members",
                "entered by",
                "reason",
            ];
            let mut table = Table::new(&header, &[2, 3, 4, 5]);
            for (TermsVersion { terms, announced_on, effective_on }, who) in &versions {
                let [by, why] = entered(who.as_ref());
                table.row([
                    effective_on.to_string(),
                    announced_on.to_string(),
                    terms.discount.to_string(),
                    terms.limit.to_string(),
                    terms.lowest_package.to_string(),
                    terms.members_max.to_string(),
                    by,
                    why,
                ]);
            }
            Answer::table(&table, with_entered(&versions)?)
        }
    }
}

/// Who entered a row and when, and why.
fn entered(who: Option<&Entered>) -> [String; 2] {
    let dash = || "-".to_owned();
    who.map_or_else(
        || [dash(), dash()],
        |who| [format!("{}, {}", who.by, local_time(who.at)), who.reason.clone().unwrap_or_else(dash)],
    )
}

/// Rows as JSON, each with who entered it.
fn with_entered<T: Serialize>(rows: &[(T, Option<Entered>)]) -> serde_json::Result<Vec<serde_json::Value>> {
    let one = |(row, who): &(T, Option<Entered>)| {
        let mut row = serde_json::to_value(row)?;
        row["entered"] = serde_json::to_value(who)?;
        Ok(row)
    };
    rows.iter().map(one).collect()
}

async fn list(store: &Store, now: Timestamp) -> anyhow::Result<Answer> {
    let month = Month::of(now);
    let mut table =
        Table::new(&["group", "contract", "state", "leader", "members", "left this month"], &[0, 5]);
    let mut rows = Vec::new();
    for group in store.groups().await? {
        let leaders = store.leaders(group.id).await?;
        let leader = leaders.iter().find(|entry| entry.until.is_none()).map(|entry| entry.msisdn.national());
        let members: Vec<String> = store
            .members(group.id)
            .await?
            .iter()
            .filter(|member| member.left_at.is_none())
            .map(|member| member.msisdn.national())
            .collect();
        let left = store.remaining(group.id, month).await?;
        let state = if group.closed_at.is_none() { "active" } else { "closed" };
        table.row([
            group.id.to_string(),
            group.contract.to_string(),
            state.to_owned(),
            leader.clone().unwrap_or_else(|| "-".to_owned()),
            members.join(" "),
            left.to_string(),
        ]);
        rows.push(json!({
            "group": group, "state": state, "leader": leader, "members": members, "month": month, "left": left,
        }));
    }
    Answer::table(&table, rows)
}

/// The active group of a contract, else its latest one.
async fn group_of(store: &Store, contract: &FixedNumber) -> anyhow::Result<store::Group> {
    let groups = store.groups().await?;
    let of_contract = groups.into_iter().filter(|group| group.contract == *contract);
    of_contract
        .max_by_key(|group| (group.closed_at.is_none(), group.id))
        .ok_or_else(|| AdminError::NoGroup(contract.clone()).into())
}

#[cfg(test)]
mod tests;
