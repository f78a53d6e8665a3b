#!/usr/bin/env python3
"""Writes sq-numbers.tsv: the Albanian words for 0 to 9,999 from two independent references.

    pip install PyICU num2al && python3 sq-numbers.py > sq-numbers.tsv

Columns: the number; CLDR's `%spellout-cardinal-masculine` for `sq` (through ICU); CLDR's
`%spellout-cardinal-feminine`; num2al. `=` stands for "as the masculine".
"""
import icu
import num2al

FORMAT = icu.RuleBasedNumberFormat(icu.URBNFRuleSetTag.SPELLOUT, icu.Locale("sq"))


def cldr(number, gender):
    FORMAT.setDefaultRuleSet("%spellout-cardinal-" + gender)
    return FORMAT.format(number)


for number in range(10_000):
    masculine = cldr(number, "masculine")
    others = [cldr(number, "feminine"), num2al.words(number)]
    print(number, masculine, *("=" if other == masculine else other for other in others), sep="\t")
