"""What users of asyncpg write, with libpq's environment variables; ends with an error if something fails."""

import asyncio

import asyncpg

NEAREST = "SELECT id FROM products ORDER BY emb <-> {}, id LIMIT 3"


async def main():
    db = await asyncpg.connect()
    numbers = await db.fetchval("SELECT emb::float8[] FROM products WHERE id = 41")
    right = await db.fetch(NEAREST.format("(SELECT emb FROM products WHERE id = 41)"))
    for parameter, value in ("$1::float8[]", numbers), ("coop_vector($1)", numbers), ("$1", str(numbers)), ("$1::real[]::coopvec", numbers):
        assert await db.fetch(NEAREST.format(parameter), value) == right, parameter
    assert (await db.fetchval("SELECT emb FROM products WHERE id = 41")).startswith("13x50@")
    try:
        await db.fetch(NEAREST.format("$1"), "{0.1,0.2}")
    except asyncpg.PostgresError as e:
        assert "$1::float8[]" in e.hint, e
    else:
        raise AssertionError("no error")


asyncio.run(main())
