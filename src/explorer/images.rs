//! Pictures for the page: what they are is told by their bytes alone, and large ones are made small.

use super::dropped_images::digest;
use crate::image::{decode, Limits};
use axum::body::Body;
use axum::http::{header, HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use image::codecs::jpeg::JpegEncoder;
use image::imageops::thumbnail;
use image::ImageFormat;
use lru::LruCache;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// The longer side of a small picture, in pixels: a tile on a screen of two pixels a point.
const SIDE: u32 = 400;

/// JPEG quality, of 100.
const QUALITY: u8 = 85;

/// A picture of so many bytes is small already.
const SMALL: usize = 48 << 10;

/// Small pictures that are kept.
const KEPT: NonZeroUsize = NonZeroUsize::new(512).unwrap();

/// Pictures that are decoded at one time.
const DECODING: usize = 2;

/// Makes pictures small, each once.
#[derive(Debug)]
pub struct Thumbnails {
    /// By digest of the original; `None`: it stays as it is.
    kept: Mutex<LruCache<String, Option<Arc<Vec<u8>>>>>,
    turns: Semaphore,
}

impl Default for Thumbnails {
    fn default() -> Self {
        Self { kept: Mutex::new(LruCache::new(KEPT)), turns: Semaphore::new(DECODING) }
    }
}

impl Thumbnails {
    /// A picture that fits a tile of the page; the original if it is small, or cannot be decoded.
    pub async fn small(&self, original: Arc<Vec<u8>>) -> Arc<Vec<u8>> {
        // No browser but one shows TIFF.
        if original.len() <= SMALL && image::guess_format(&original).ok() != Some(ImageFormat::Tiff) {
            return original;
        }
        let name = digest(&original);
        let lock = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = lock().get(&name).cloned();
        let small = match kept {
            Some(small) => small,
            None => {
                let Ok(_turn) = self.turns.acquire().await else { return original };
                let bytes = Arc::clone(&original);
                let small =
                    tokio::task::spawn_blocking(move || shrink(&bytes)).await.ok().flatten().map(Arc::new);
                lock().put(name, small.clone());
                small
            }
        };
        small.unwrap_or(original)
    }
}

fn shrink(original: &[u8]) -> Option<Vec<u8>> {
    let whole = decode(original, &Limits::default()).ok()?;
    let scale = (f64::from(SIDE) / f64::from(whole.width().max(whole.height()))).min(1.0);
    let scaled = |x: u32| ((f64::from(x) * scale).round() as u32).max(1);
    let small = thumbnail(&whole, scaled(whole.width()), scaled(whole.height()));
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY).encode_image(&small).ok()?;
    Some(jpeg)
}

/// The media type that the first bytes show; `None` for what is no picture, or one that could run scripts.
pub fn media_type(bytes: &[u8]) -> Option<&'static str> {
    image::guess_format(bytes).ok().map(|format| format.to_mime_type()).filter(|t| t.starts_with("image/"))
}

/// A picture as an answer: cached, but asked about each time, because rows change.
pub fn respond(bytes: &Arc<Vec<u8>>, request: &HeaderMap) -> Response {
    let tag = format!("\"{}\"", digest(bytes));
    let known = request.get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok());
    let caching = [(header::ETAG, tag.clone()), (header::CACHE_CONTROL, "private, no-cache".to_owned())];
    if known.is_some_and(|known| known.split(',').any(|k| k.trim().trim_start_matches("W/") == tag)) {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    let body = Body::from(bytes.as_slice().to_vec());
    match media_type(bytes) {
        Some(media_type) => (caching, [(header::CONTENT_TYPE, media_type)], body).into_response(),
        None => {
            let download = [
                (header::CONTENT_TYPE, "application/octet-stream"),
                (header::CONTENT_DISPOSITION, "attachment; filename=\"picture.bin\""),
            ];
            (caching, download, body).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::RgbImage;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let noise = RgbImage::from_fn(width, height, |x, y| {
            image::Rgb([x.wrapping_mul(y).wrapping_mul(2_654_435_761).to_le_bytes()[3]; 3])
        });
        noise.write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn what_a_picture_is_is_told_by_its_bytes() {
        assert_eq!(media_type(&png(1, 1)), Some("image/png"));
        assert_eq!(media_type(b"GIF89a..."), Some("image/gif"));
        assert_eq!(
            media_type(b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"),
            None
        );
        assert_eq!(media_type(b"<html>"), None);
        assert_eq!(media_type(b""), None);
    }

    #[tokio::test]
    async fn large_pictures_are_made_small_and_others_stay_as_they_are() {
        let thumbnails = Thumbnails::default();
        let large = Arc::new(png(800, 600));
        assert!(large.len() > SMALL);
        let small = thumbnails.small(Arc::clone(&large)).await;
        let size = image::load_from_memory(&small).unwrap();
        assert_eq!((size.width(), size.height(), media_type(&small)), (400, 300, Some("image/jpeg")));
        assert!(Arc::ptr_eq(&small, &thumbnails.small(large).await), "made once");
        let icon = Arc::new(png(20, 20));
        assert!(Arc::ptr_eq(&icon, &thumbnails.small(Arc::clone(&icon)).await));
        let broken = Arc::new([png(800, 600)[..60_000].to_vec()].concat());
        assert!(Arc::ptr_eq(&broken, &thumbnails.small(Arc::clone(&broken)).await));
    }

    #[test]
    fn what_the_browser_has_is_not_sent_again() {
        let bytes = Arc::new(png(2, 2));
        let first = respond(&bytes, &HeaderMap::new());
        let mut request = HeaderMap::new();
        request.insert(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone());
        assert_eq!(respond(&bytes, &request).status(), StatusCode::NOT_MODIFIED);
        let other = respond(&Arc::new(b"<html>".to_vec()), &request);
        assert_eq!(other.headers()[header::CONTENT_TYPE], "application/octet-stream");
    }
}
