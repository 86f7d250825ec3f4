# Reads the notes of the writers, a file for each, and what is in the tables (`T TABLE ID VERSION`), and prints each row that contradicts the notes.
# `A SEQ OP TABLE LO HI` is an attempt on the ids LO to HI; `K SEQ` says that it is committed, `E SEQ` that it failed; an attempt with neither may have
# been committed or not. OP is I, which inserts or replaces rows with version SEQ, U, which updates those that exist to it, or D, which deletes.
function apply(certain,    id, key, n, i, states, was, now) {
    if (op == "") return
    for (id = lo; id <= hi; id++) {
        key = table " " id
        was = key in state ? state[key] : "-"
        now = certain ? "" : was
        n = split(was, states, ",")
        for (i = 1; i <= n; i++) {
            effect = op == "D" ? "-" : op == "I" ? seq : states[i] == "-" ? "-" : seq
            if (("," now ",") !~ ("," effect ",")) now = now (now == "" ? "" : ",") effect
        }
        state[key] = now
    }
    op = ""
}
FNR == 1 { apply(0) }
$1 == "A" { apply(0); seq = $2; op = $3; table = $4; lo = $5 + 0; hi = $6 + 0; attempts++; next }
$1 == "K" && $2 == seq { apply(1); acknowledged++; next }
$1 == "E" && $2 == seq { op = ""; next }
$1 == "T" {
    apply(0)
    key = $2 " " $3
    found[key] = 1
    if (!(key in state)) { print "row " key " (" $4 ") was never written"; wrong++ }
    else if (("," state[key] ",") !~ ("," $4 ",")) { print "row " key " has version " $4 ", not " state[key]; wrong++ }
}
END {
    for (key in state) if (!(key in found) && ("," state[key] ",") !~ /,-,/) { print "row " key " is lost: version " state[key]; wrong++ }
    printf "%d statements of writers, %d of them committed for sure, %d rows wrong\n", attempts, acknowledged, wrong
    exit wrong > 0
}
