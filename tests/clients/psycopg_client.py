"""What users of psycopg 3 write. usage: psycopg_client.py CASE, with libpq's environment variables; ends with an error if the case fails."""

import sys

import numpy
import psycopg

NEAREST = "SELECT id FROM products ORDER BY emb <-> {}, id LIMIT 3"


def numbers(db, row=41):
    return db.execute("SELECT emb::float8[] FROM products WHERE id = %s", (row,)).fetchone()[0]


def nearest(db, parameter, value, **options):
    return [row[0] for row in db.execute(NEAREST.format(parameter), (value,), **options)]


def right(db):
    return nearest(db, "(SELECT emb FROM products WHERE id = %s)", 41)


def lists(db):
    """Lists of floats find what the row itself finds, as text, binary and in prepared statements."""
    sent = numbers(db)
    for parameter in "%s", "%b", "%t", "%s::coopvec", "coop_vector(%s)", "coop_vector(%b)", "coop_like(%s::coopvec)", "%s::float4[]", "%s::numeric[]":
        for _ in range(7):
            assert nearest(db, parameter, sent, prepare=True) == right(db), parameter
        assert nearest(db, parameter, sent) == right(db), parameter


def numpy_arrays(db):
    """numpy arrays are sent by tolist(), in any precision."""
    for kind in numpy.float16, numpy.float32, numpy.float64:
        assert nearest(db, "%s", numpy.array(numbers(db), kind).tolist()) == right(db)


def integers(db):
    """Lists of small and large integers and of Decimals are embeddings as well."""
    from decimal import Decimal

    expected = [1.0, 70000.0 / 2] + [0.0] * 648
    for kind in int, float, Decimal:
        sent = [kind(number) for number in expected]
        db.execute("INSERT INTO taken (id, emb) VALUES (1, %s)", (sent,))
        assert db.execute("DELETE FROM taken RETURNING emb::float8[]").fetchone()[0] == [1.0, 35008.0] + [0.0] * 648
    small = [1] + [0] * 649
    assert nearest(db, "%s", small) == nearest(db, "%s", [float(number) for number in small])


def rows(db):
    """INSERT, executemany and COPY take lists; what comes back is the same."""
    sent = numbers(db)
    db.execute("INSERT INTO taken (id, emb) VALUES (1, %s), (2, %b)", (sent, sent))
    db.cursor().executemany("INSERT INTO taken (id, emb) VALUES (%s, %s)", [(3, sent), (4, sent)])
    with db.cursor().copy("COPY taken (id, emb) FROM STDIN") as copy:
        copy.write_row((5, str(sent)))
    text = db.execute("SELECT emb FROM products WHERE id = 41").fetchone()[0]
    assert isinstance(text, str) and text.startswith("13x50@")
    db.execute("INSERT INTO taken (id, emb) VALUES (6, %s)", (text,))
    assert db.execute("SELECT count(*), count(DISTINCT emb) FROM taken").fetchone() == (6, 1)
    assert db.execute("SELECT bool_and(emb = %s) FROM taken", (text,)).fetchone()[0]
    assert db.execute("SELECT count(*) FROM taken WHERE emb = ANY(%s::coopvec[])", ([text],)).fetchone()[0] == 6


def binary_copy(db):
    """COPY in binary carries embeddings as they are stored."""
    with db.cursor().copy("COPY (SELECT id, emb FROM products WHERE id < 4) TO STDOUT (FORMAT binary)") as out:
        data = b"".join(bytes(block) for block in out)
    with db.cursor().copy("COPY taken (id, emb) FROM STDIN (FORMAT binary)") as copy:
        copy.write(data)
    assert db.execute("SELECT count(*) FROM taken JOIN products USING (id, emb)").fetchone()[0] == 3
    db.execute("CREATE TEMP TABLE narrow (id int, emb coopvec(10))")
    try:
        with db.cursor().copy("COPY narrow (id, emb) FROM STDIN (FORMAT binary)") as copy:
            copy.write(data)
    except psycopg.Error as e:
        assert e.diag.message_primary == "expected 10 dimensions, not 650", e
    else:
        raise AssertionError("no error")


def results(db):
    """Embeddings and queries come back as lists and as JSON, in text and in binary."""
    for binary in False, True:
        row = db.execute("SELECT emb::float8[], emb::real[], emb::jsonb, coop_attr_query('hue', 'green')::jsonb FROM products WHERE id = 41", binary=binary).fetchone()
        assert numpy.array_equal(numpy.array(row[1], numpy.float32), numpy.array(row[0], numpy.float32)) and len(row[0]) == 650
        assert numpy.array_equal(numpy.array(row[2], numpy.float16), numpy.array(row[0], numpy.float16))
        assert len(row[3]["subspaces"]) == 1 and row[3]["model"].startswith("13x50@")


def index(db):
    """A list uses the index, and is made an embedding once."""
    db.execute("SET LOCAL enable_seqscan = off")
    plan = "\n".join(row[0] for row in db.execute("EXPLAIN " + "SELECT id FROM products ORDER BY emb <-> %s LIMIT 3", (numbers(db),)))
    assert "Index Scan using products_emb" in plan and "InitPlan" in plan, plan


def mistakes(db):
    """What cannot be meant is an error that says what to do."""

    def error(sql, value):
        try:
            with db.transaction():
                db.execute(sql, (value,))
        except psycopg.Error as e:
            return e
        raise AssertionError(f"no error: {sql}")

    e = error("SELECT id FROM products ORDER BY emb <-> %s", [0.1, 0.2])
    assert e.sqlstate == "22000" and e.diag.message_primary == "expected 650 numbers, not 2", e
    e = error("SELECT id FROM products ORDER BY emb <-> %s", "{0.1,0.2}")
    assert "$1::float8[]" in e.diag.message_hint, e
    e = error("SELECT id FROM products ORDER BY emb <-> %s", [])
    assert e.diag.message_hint, e
    e = error("INSERT INTO taken VALUES (1, %s)", "1x2@00000000:[1,0]")
    assert e.diag.message_primary == "expected 650 dimensions, not 2", e
    e = error("SELECT id FROM products ORDER BY emb <-> %s", [float("nan")] * 650)
    assert e.diag.message_primary == "numbers must be finite", e


if __name__ == "__main__":
    with psycopg.connect() as connection:
        globals()[sys.argv[1]](connection)
        connection.rollback()
