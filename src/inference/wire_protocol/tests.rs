//! Messages come back as they were sent, and malformed bytes are refused.

use super::frame::KINDS;
use super::*;

fn round_trip(request: &Request) -> Request {
    let frame = request.encode();
    Request::read(frame[0], &mut &frame[1..]).unwrap()
}

fn embed() -> Request {
    let (model, priority) = (ModelDigest([7; 32]), Priority::Bulk);
    let (timeout_ms, decode_us, pixels) = (2500, 1234, vec![1, 2, 3]);
    Request::Embed(9, EmbedRequest { model, priority, timeout_ms, decode_us, pixels })
}

#[test]
fn requests_come_back_as_they_were_sent() {
    let load = Request::Load { config: "{\"é\": 1}".to_owned(), weights: vec![0, 255, 3] };
    for request in [Request::Hello(Build::this(5)), embed(), load, Request::Status, Request::Restart] {
        assert_eq!(round_trip(&request), request);
    }
}

#[test]
fn replies_come_back_as_they_were_sent() {
    let error = Error::new(Kind::Busy, "full").hint("Wait.");
    let status = Status {
        device: "cpu".into(),
        counters: vec![("batches".to_owned(), 3), ("images".to_owned(), u64::MAX)],
        batch_sizes: vec![BatchSizeBucket { size: 4, batches: 2, images: 7 }],
    };
    for reply in [
        Reply::Welcome { in_flight: 32 },
        Reply::Embedding(3, vec![1.5, -0.25, f32::MIN_POSITIVE]),
        Reply::Failed(4, error.clone()),
        Reply::NeedModel,
        Reply::Status(status),
        Reply::Error(error),
        Reply::Goodbye,
    ] {
        let again = Reply::read(&mut reply.encode().as_slice()).unwrap();
        assert_eq!(format!("{again:?}"), format!("{reply:?}"));
    }
}

#[test]
fn every_kind_of_error_survives_the_wire() {
    for kind in KINDS {
        let frame = Reply::Error(Error::new(kind, "m")).encode();
        let Reply::Error(e) = Reply::read(&mut frame.as_slice()).unwrap() else { panic!("not an error") };
        assert_eq!(e.kind, kind);
    }
}

#[test]
fn every_truncation_of_a_request_is_refused() {
    for request in
        [Request::Hello(Build::this(5)), embed(), Request::Load { config: "{}".into(), weights: vec![9] }]
    {
        let frame = request.encode();
        for cut in 1..frame.len() {
            assert!(Request::read(frame[0], &mut &frame[1..cut]).is_err(), "cut at {cut}");
        }
    }
}

#[test]
fn lengths_over_the_limit_are_refused_before_the_body() {
    let mut frame = vec![tag::EMBED];
    frame.extend((MAX_BODY + 1).to_le_bytes());
    let error = Request::read(frame[0], &mut &frame[1..]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
}

#[test]
fn memory_is_allocated_for_what_arrives_not_for_what_a_length_claims() {
    for (tag, length) in [(tag::EMBED, MAX_BODY), (tag::LOAD, MAX_LOAD)] {
        let mut frame = vec![tag];
        frame.extend(length.to_le_bytes());
        frame.extend([7; 100]);
        let error = Request::read(tag, &mut &frame[1..]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    }
    // Claims 2^32 - 1 counters and has none.
    let frame = [&[tag::STATUS, 8, 0, 0, 0, 0, 0, 0, 0][..], &u32::MAX.to_le_bytes()].concat();
    assert_eq!(Reply::read(&mut frame.as_slice()).unwrap_err().kind(), std::io::ErrorKind::InvalidData);
    let frame = [&[tag::EMBEDDING][..], &(MAX_BODY + 1).to_le_bytes(), &[0; 9]].concat();
    assert_eq!(Reply::read(&mut frame.as_slice()).unwrap_err().kind(), std::io::ErrorKind::InvalidData);
}

#[test]
fn texts_longer_than_their_frame_and_unknown_types_are_refused() {
    let malformed = [
        vec![tag::LOAD, 4, 0, 0, 0, 255, 255, 255, 255],
        vec![b'?', 0, 0, 0, 0],
        vec![tag::STATUS, 1, 0, 0, 0, 0],
    ];
    for frame in malformed {
        assert!(Request::read(frame[0], &mut &frame[1..]).is_err());
    }
}

#[test]
fn a_newer_build_of_the_same_version_serves_an_older_client_only() {
    let (old, new) = (Build::this(1), Build::this(2));
    assert!(new.serves(&old) && old.serves(&old) && !old.serves(&new));
    assert!(!Build { protocol: PROTOCOL_VERSION + 1, ..new.clone() }.serves(&new));
    assert!(!Build { version: "9.9.9".to_owned(), ..new.clone() }.serves(&new));
}
