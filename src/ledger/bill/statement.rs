//! A group's month for its Lideri Fiks: a page of HTML that prints on A4, in Albanian (DOMAIN §6), with a chart of what was
//! spent day by day against the limit.

use super::{BillItemKind, BillLine, VAT_PERCENT};
use crate::units::{Money, Month};
use std::fmt::Write;

/// Of the chart, in units of its drawing.
const WIDTH: f64 = 680.0;
const HEIGHT: f64 = 180.0;
const MARGIN: f64 = 24.0;
const MONTHS: [&str; 12] = [
    "janar", "shkurt", "mars", "prill", "maj", "qershor", "korrik", "gusht", "shtator", "tetor", "nëntor",
    "dhjetor",
];

/// What stands on the page.
#[derive(Debug, Clone, Copy)]
pub struct Statement<'a> {
    /// The line of the bill.
    pub line: &'a BillLine,
    /// The month's limit.
    pub limit: Money,
    /// Whether the month is closed: else it may still grow, and the page says so.
    pub closed: bool,
    /// The Lideri Fiks by name, where it is known.
    pub addressee: Option<&'a str>,
}

impl Statement<'_> {
    /// The page. It needs nothing from elsewhere, so that it can be kept, mailed and printed.
    pub fn to_html(&self) -> String {
        let BillLine { contract, month, total, .. } = self.line;
        let title = format!("Klik-ON, {} {}", month_name(*month), month.year());
        let note = if self.closed { "" } else { "<p class=\"note\">Muaji nuk është mbyllur ende.</p>" };
        let addressee = self.addressee.map_or_else(String::new, |name| format!("<p>{}</p>\n", escaped(name)));
        format!(
            "<!DOCTYPE html>\n<html lang=\"sq\">\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n\
             </head>\n<body>\n<h1>{title}</h1>\n{addressee}<p>Linja fikse <strong>{contract}</strong></p>\n{note}\n{chart}\n\
             <table>\n<thead><tr><th>Data</th><th>Numri</th><th>Paketa</th><th>Çmimi</th><th>Zbritja</th><th>Për të paguar</th></tr></thead>\n\
             <tbody>\n{rows}</tbody>\n<tfoot>\n<tr><th colspan=\"5\">Totali mbi tarifën fikse</th><td>{gross}</td></tr>\n\
             <tr><th colspan=\"5\">Pa TVSH</th><td>{base}</td></tr>\n<tr><th colspan=\"5\">TVSH {VAT_PERCENT}% (rrumbullakimi {rounding} lekë)</th><td>{vat}</td></tr>\n\
             </tfoot>\n</table>\n<p>Kufiri i muajit për grupin: {limit}</p>\n</body>\n</html>\n",
            chart = self.chart(),
            rows = self.rows(),
            gross = total.gross,
            base = total.base,
            vat = total.vat,
            rounding = total.rounding.to_string().replace('.', ","),
            limit = self.limit,
        )
    }

    fn rows(&self) -> String {
        let mut rows = String::new();
        for item in &self.line.items {
            let day = item.held_at.to_zoned(Month::time_zone()).strftime("%d.%m.%Y %H:%M");
            let what = match &item.kind {
                BillItemKind::Activation => item.package.to_string(),
                BillItemKind::Reversal { reason } => {
                    format!("{}, kthim: {}", item.package, escaped(reason))
                }
            };
            let _ = writeln!(
                rows,
                "<tr><td>{day}</td><td>{}</td><td>{what}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                item.member.national(),
                item.list,
                item.discount,
                item.net
            );
        }
        rows
    }

    /// Steps of what was spent of the limit so far, day by day. Reversals of other months take no part in it.
    fn chart(&self) -> String {
        let month = self.line.month;
        let days = days_of(month);
        let limit = lek(self.limit).max(1.0);
        let x = |day: f64| MARGIN + day / days * (WIDTH - 2.0 * MARGIN);
        let y = |lek: f64| HEIGHT - MARGIN - (lek / limit).min(1.1) * (HEIGHT - 2.0 * MARGIN) / 1.1;
        let mut path = format!("M{:.1} {:.1}", x(0.0), y(0.0));
        let mut spent = 0.0;
        for item in &self.line.items {
            if item.kind == BillItemKind::Activation {
                let into = item.held_at.duration_since(month.start()).as_secs_f64() / 86_400.0;
                spent += lek(item.net);
                let _ = write!(path, " H{:.1} V{:.1}", x(into.clamp(0.0, days)), y(spent));
            }
        }
        let _ = write!(path, " H{:.1}", x(days));
        let mut ticks = String::new();
        for day in (1..=28).step_by(7) {
            let _ = write!(
                ticks,
                "<text x=\"{:.1}\" y=\"{}\">{day}.{}</text>",
                x(f64::from(day - 1)),
                HEIGHT - 6.0,
                month.number()
            );
        }
        format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"Shuma e shpenzuar gjatë muajit\">\n\
             <line class=\"limit\" x1=\"{MARGIN}\" x2=\"{right}\" y1=\"{top:.1}\" y2=\"{top:.1}\"/>\
             <text x=\"{MARGIN}\" y=\"{above:.1}\">{limit_text}</text>\n\
             <line class=\"axis\" x1=\"{MARGIN}\" x2=\"{right}\" y1=\"{bottom}\" y2=\"{bottom}\"/>{ticks}\n\
             <path d=\"{path}\"/>\n</svg>",
            right = WIDTH - MARGIN,
            top = y(limit),
            above = y(limit) - 4.0,
            bottom = HEIGHT - MARGIN,
            limit_text = self.limit,
        )
    }
}

fn lek(money: Money) -> f64 {
    money.lek().try_into().unwrap_or_default()
}

fn days_of(month: Month) -> f64 {
    (month.end().duration_since(month.start()).as_secs_f64() / 86_400.0).max(1.0)
}

fn month_name(month: Month) -> &'static str {
    MONTHS.get(usize::from(month.number()).saturating_sub(1)).copied().unwrap_or_default()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const STYLE: &str = "\
@page { size: A4; margin: 18mm }
body { font: 11pt/1.4 sans-serif; color: #111; max-width: 180mm; margin: auto }
h1 { font-size: 18pt }
svg { width: 100%; font-size: 10px; fill: #444 }
svg path { fill: none; stroke: #06c; stroke-width: 2 }
svg .limit { stroke: #c00; stroke-dasharray: 4 3 }
svg .axis { stroke: #888 }
table { border-collapse: collapse; width: 100% }
thead { display: table-header-group }
tr { break-inside: avoid }
th, td { border-bottom: 1px solid #ccc; padding: 1.5mm 2mm; text-align: left }
td:nth-child(n+4), tfoot td { text-align: right; white-space: nowrap }
.note { color: #a00 }
";
