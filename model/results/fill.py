"""Puts the numbers of model/results/SET/TABLE.csv between the marks of model/RESULTS.md. Run after run.sh."""
import csv, pathlib, re

here = pathlib.Path(__file__).parent


def table(match):
    head, name = match.group(1), match.group(2)
    path = here / f"{name}.csv"
    if not path.exists():
        return f"{head}\nNot run.\n<!-- end -->"
    rows = list(csv.reader(path.open()))
    columns = [(i, title) for i, title in enumerate(rows[0]) if i and not title.endswith("deviation")][:-2]
    out = ["| " + " | ".join([rows[0][0]] + [title for _, title in columns]) + " |", "|---" * (len(columns) + 1) + "|"]
    for row in rows[1:]:
        cell = lambda i, title: ("-" if not row[i] else
                                 f"{float(row[i]):.{3 if title[:3] in ('MAE', 'MRR') else 1}f} ± {float(row[i + 1]):.{3 if title[:3] in ('MAE', 'MRR') else 1}f}")
        out.append("| " + " | ".join([row[0]] + [cell(i, t) for i, t in columns]) + " |")
    return head + "\n" + "\n".join(out) + "\n<!-- end -->"


page = here.parent / "RESULTS.md"
page.write_text(re.sub(r"(<!-- table (\S+) -->)\n.*?<!-- end -->", table, page.read_text(), flags=re.S))
