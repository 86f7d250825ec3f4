//! Input and output of values: text, binary, and stored values of any width.

#[pgrx::pg_schema]
mod tests {
    use crate::pg::fixture::{failure, text};
    use pgrx::prelude::*;

    #[pg_test]
    fn text_round_trips() {
        for value in ["2x2@0000002a:[0.5,-0,65504,0.00000006]", "1x1@ffffffff:[1]"] {
            assert_eq!(text(&format!("SELECT '{value}'::coopvec::text")), value);
        }
        for value in ["2x2@0000002a:{0.25;1:2*[0.5,1]}", "1x1@00000000:{0;0:1*[-1]}"] {
            assert_eq!(text(&format!("SELECT '{value}'::coopquery::text")), value);
        }
    }

    #[pg_test]
    fn text_is_hexadecimal_where_that_is_asked_for() {
        Spi::run("SET LOCAL coopembed.output TO hex").unwrap();
        // struct.pack('>BHHI4e', 1, 2, 2, 42, 0.5, 1, 0, -2).hex(), and '>BHHId4f' of 1, 2, 2, 42, 0.25, 0, 2, 0.5, 1.
        let embedding = r"\x01000200020000002a38003c000000c000";
        let query = r"\x01000200020000002a3fd000000000000000000000400000003f0000003f800000";
        for (value, hex) in [
            ("coopvec '2x2@0000002a:[0.5,1,0,-2]'", embedding),
            ("coopquery '2x2@0000002a:{0.25;1:2*[0.5,1]}'", query),
        ] {
            assert_eq!(text(&format!("SELECT ({value})::text")), hex);
            let of = &value[..value.find(' ').unwrap()];
            assert_eq!(text(&format!("SELECT ({of}_send({of} '{hex}') = {of}_send({value}))::text")), "true");
        }
        assert_eq!(failure("SET coopembed.output TO base64").state, "22023");
    }

    #[pg_test]
    fn malformed_text_is_an_error_that_shows_the_form() {
        let e = failure("SELECT '2x2@0000002a:[1,2,3]'::coopvec");
        assert_eq!((e.state.as_str(), e.message.as_str()), ("22P02", "expected 4 numbers, not 3"));
        let e = failure("SELECT '1,2,3'::coopvec");
        assert_eq!(e.state, "22P02");
        assert!(e.hint.contains("8x50@1a2b3c4d:[0.1,0.2,...]"));
        assert_eq!(failure("SELECT '2x2@0000002a:{0}'::coopquery").state, "22P02");
    }

    /// Narrow (a 1-byte length word), ordinary, and so wide that it is stored out of line; as values of rows.
    fn widths() {
        Spi::run(
            "CREATE TABLE widths AS
             SELECT k, n, format('%sx%s@0000002a:[%s]', k, n,
                        (SELECT string_agg(((i * 37 % 256) / 256.0)::text, ',') FROM generate_series(1, k * n) i)
                    )::coopvec AS emb
             FROM (VALUES (1, 1), (2, 2), (8, 50), (300, 50)) AS shape(k, n)",
        )
        .unwrap();
        Spi::run("INSERT INTO widths VALUES (0, 0, NULL)").unwrap();
        Spi::run("ALTER TABLE widths ADD q coopquery").unwrap();
        Spi::run("UPDATE widths SET q = emb").unwrap();
    }

    #[pg_test]
    fn stored_values_of_any_width_are_read_in_place_or_fetched() {
        widths();
        let toasted = "SELECT pg_relation_size(reltoastrelid) > 30000 FROM pg_class WHERE relname = 'widths'";
        assert_eq!(Spi::get_one(toasted), Ok(Some(true)));
        let short = "SELECT pg_column_size(emb) < 20 FROM widths WHERE k = 1";
        assert_eq!(Spi::get_one(short), Ok(Some(true)));
        let all = "SELECT count(*) FROM widths
                   WHERE emb <-> emb = 0 AND emb <-> q = 0 AND q <-> emb = 0 AND emb <-> emb::text::coopvec = 0";
        assert_eq!(Spi::get_one(all), Ok(Some(4i64)));
    }

    #[pg_test]
    fn binary_copies_round_trip() {
        widths();
        // COPY to and from a file on the server: the one way for binary through SQL alone.
        let file = format!("/tmp/coopembed-binary-{}", std::process::id());
        Spi::run(&format!("COPY widths TO '{file}' (FORMAT binary)")).unwrap();
        Spi::run("CREATE TABLE back (LIKE widths)").unwrap();
        Spi::run(&format!("COPY back FROM '{file}' (FORMAT binary)")).unwrap();
        std::fs::remove_file(file).unwrap();
        let same = "SELECT count(*) FROM widths JOIN back USING (emb)
                    WHERE widths.q::text = back.q::text AND coopvec_send(widths.emb) = coopvec_send(back.emb)";
        assert_eq!(Spi::get_one(same), Ok(Some(4i64)));
    }

    #[pg_test]
    fn a_malformed_binary_message_is_an_error() {
        let file = format!("/tmp/coopembed-malformed-{}", std::process::id());
        Spi::run("CREATE TABLE one (emb coopvec)").unwrap();
        // PostgreSQL's header (11 signature bytes, flags, extension), a row of one field of 3 bytes, the trailer.
        let mut copy = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
        copy.extend([0, 1, 0, 0, 0, 3, 1, 0, 2, 255, 255]);
        std::fs::write(&file, copy).unwrap();
        let e = failure(&format!("COPY one FROM '{file}' (FORMAT binary)"));
        std::fs::remove_file(file).unwrap();
        assert_eq!(
            (e.state.as_str(), e.message.as_str()),
            ("22P03", "invalid binary format for type coopvec")
        );
        assert_eq!(e.detail, "The message ends 2 bytes early.");
    }
}
