//! A run in the shape of TM Forum's Customer Bill Management API (TMF678, version 4): a `CustomerBill` a contract, an
//! `AppliedCustomerBillingRate` an item.
//!
//! Amounts are JSON numbers of Lek, as the API has them; each is exact to the qindarka when it is read as a decimal.

use super::csv_file::local;
use super::{BillItem, BillItemKind, BillLine, BillRun, ControlTotals, VAT_PERCENT, VatSplit};
use crate::units::Money;
use serde_json::{Value, json};

/// ISO 4217.
const CURRENCY: &str = "ALL";

fn amount(money: Money) -> Value {
    // A number of at most two decimals is the shortest that stands for its nearest `f64`, so that it is written as it is.
    let lek: f64 = money.lek().try_into().unwrap_or_default();
    json!({ "unit": CURRENCY, "value": lek })
}

fn tax(split: &VatSplit) -> Value {
    json!([{ "taxCategory": "VAT", "taxRate": VAT_PERCENT, "taxAmount": amount(split.vat) }])
}

impl BillRun {
    /// The file's octets, with `control` beside the API's resources.
    pub fn to_tmf678(&self, totals: &ControlTotals) -> Vec<u8> {
        let rates: Vec<Value> = self
            .lines
            .iter()
            .flat_map(|line| line.items.iter().map(|item| self.applied_rate(line, item)))
            .collect();
        let file = json!({
            "control": {
                "sequence": self.sequence,
                "month": self.month.to_string(),
                "contracts": totals.contracts,
                "activations": totals.activations,
                "reversals": totals.reversals,
                "taxIncludedAmount": amount(totals.gross),
                "taxExcludedAmount": amount(totals.base),
                "taxAmount": amount(totals.vat),
            },
            "customerBill": self.lines.iter().map(|line| self.customer_bill(line)).collect::<Vec<_>>(),
            "appliedCustomerBillingRate": rates,
        });
        format!("{file:#}\n").into_bytes()
    }

    fn bill_id(&self, line: &BillLine) -> String {
        format!("{:06}-{}", self.sequence, line.contract)
    }

    fn customer_bill(&self, line: &BillLine) -> Value {
        json!({
            "id": self.bill_id(line),
            "billNo": self.bill_id(line),
            "category": "normal",
            "runType": "onCycle",
            "state": "new",
            "billDate": local(self.closed_at),
            "lastUpdate": local(self.closed_at),
            "billingPeriod": self.period(),
            "billingAccount": { "id": line.contract.to_string(), "@referredType": "BillingAccount" },
            "amountDue": amount(line.total.gross),
            "remainingAmount": amount(line.total.gross),
            "taxIncludedAmount": amount(line.total.gross),
            "taxExcludedAmount": amount(line.total.base),
            "taxItem": tax(&line.total),
            "@type": "CustomerBill",
        })
    }

    /// Taxes stand on the bill alone: VAT is split once a line (DOMAIN §3.5).
    fn applied_rate(&self, line: &BillLine, item: &BillItem) -> Value {
        let (id, description, kind) = match &item.kind {
            BillItemKind::Activation => {
                (item.activation.to_string(), "activated by phone on 130".to_owned(), "appliedBillingCharge")
            }
            BillItemKind::Reversal { reason } => {
                (format!("{}-reversal", item.activation), reason.clone(), "appliedBillingCredit")
            }
        };
        json!({
            "id": id,
            "name": item.package.to_string(),
            "description": description,
            "type": kind,
            "date": local(item.held_at),
            "isBilled": true,
            "bill": { "id": self.bill_id(line), "@referredType": "CustomerBill" },
            "billingAccount": { "id": line.contract.to_string(), "@referredType": "BillingAccount" },
            "periodCoverage": self.period(),
            "taxIncludedAmount": amount(item.net),
            "characteristic": [
                { "name": "member", "valueType": "string", "value": item.member.e164() },
                { "name": "listPrice", "valueType": "number", "value": amount(item.list)["value"] },
                { "name": "discount", "valueType": "number", "value": amount(item.discount)["value"] },
            ],
            "@type": "AppliedCustomerBillingRate",
        })
    }

    fn period(&self) -> Value {
        json!({ "startDateTime": local(self.month.start()), "endDateTime": local(self.month.end()) })
    }
}
