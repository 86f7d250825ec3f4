//! Images for the page: thumbnails of large ones, and responses whose media type comes from the bytes alone.

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

/// The longer side of a thumbnail in pixels: twice a tile's width on the page, for high-density screens.
const THUMBNAIL_SIDE: u32 = 400;

/// JPEG quality of thumbnails, from 1 to 100.
const THUMBNAIL_QUALITY: u8 = 85;

/// Files of up to so many bytes are served as they are.
const SMALL_FILE: usize = 48 << 10;

/// Thumbnails that are cached.
const CACHED: NonZeroUsize = NonZeroUsize::new(512).unwrap();

/// Images that are decoded at the same time.
const CONCURRENT_DECODES: usize = 2;

/// Makes thumbnails and caches them.
#[derive(Debug)]
pub struct Thumbnails {
    /// By the digest of the original; `None` if it could not be decoded and is served as it is.
    cache: Mutex<LruCache<String, Option<Arc<Vec<u8>>>>>,
    decodes: Semaphore,
}

impl Default for Thumbnails {
    fn default() -> Self {
        Self { cache: Mutex::new(LruCache::new(CACHED)), decodes: Semaphore::new(CONCURRENT_DECODES) }
    }
}

impl Thumbnails {
    /// The thumbnail of an image; the original if that is a small file or cannot be decoded.
    pub async fn small(&self, original: Arc<Vec<u8>>) -> Arc<Vec<u8>> {
        // What all browsers show. AVIF is never decoded here: its decoder may end the process.
        use ImageFormat::{Avif, Bmp, Gif, Ico, Jpeg, Png, WebP};
        let format = image::guess_format(&original).ok();
        let shown = matches!(format, Some(Bmp | Gif | Ico | Jpeg | Png | WebP));
        if format == Some(Avif) || shown && original.len() <= SMALL_FILE {
            return original;
        }
        let name = digest(&original);
        let lock = || self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let cached = lock().get(&name).cloned();
        let small = match cached {
            Some(small) => small,
            None => {
                let Ok(_permit) = self.decodes.acquire().await else { return original };
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
    let scale = (f64::from(THUMBNAIL_SIDE) / f64::from(whole.width().max(whole.height()))).min(1.0);
    let scaled = |x: u32| ((f64::from(x) * scale).round() as u32).max(1);
    let small = thumbnail(&whole, scaled(whole.width()), scaled(whole.height()));
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, THUMBNAIL_QUALITY).encode_image(&small).ok()?;
    Some(jpeg)
}

/// The media type that the first bytes show; `None` for anything but a raster image, SVG included, because SVG can run scripts.
pub fn media_type(bytes: &[u8]) -> Option<&'static str> {
    image::guess_format(bytes).ok().map(|format| format.to_mime_type()).filter(|t| t.starts_with("image/"))
}

/// A response with an image. Browsers cache it and revalidate it by its ETag each time, because rows change.
/// Anything that is not an image is offered as a download, so that it cannot run as a page of this server.
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
                (header::CONTENT_DISPOSITION, "attachment; filename=\"image.bin\""),
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
    fn the_media_type_comes_from_the_bytes() {
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
    async fn large_images_get_thumbnails_and_others_are_served_as_they_are() {
        let thumbnails = Thumbnails::default();
        let large = Arc::new(png(800, 600));
        assert!(large.len() > SMALL_FILE);
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
    fn an_image_that_the_browser_has_is_not_sent_again() {
        let bytes = Arc::new(png(2, 2));
        let first = respond(&bytes, &HeaderMap::new());
        let mut request = HeaderMap::new();
        request.insert(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone());
        assert_eq!(respond(&bytes, &request).status(), StatusCode::NOT_MODIFIED);
        let other = respond(&Arc::new(b"<html>".to_vec()), &request);
        assert_eq!(other.headers()[header::CONTENT_TYPE], "application/octet-stream");
    }
}
