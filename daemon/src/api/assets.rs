//! The browser dashboard, packed into the binary by `build.rs`: compressed, cached by hash, under a
//! strict Content-Security-Policy. Reads nothing from disk.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};

use super::accept;
use super::problem::Problem;

struct Asset {
    path: &'static str,
    plain: &'static [u8],
    gzip: Option<&'static [u8]>,
    brotli: Option<&'static [u8]>,
    etag: &'static str,
}

static ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// Everything from the daemon itself, nothing inline, no frames around it.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const NOT_BUILT: &str = "<!doctype html><html lang=en><meta charset=utf-8>\
    <meta name=viewport content=\"width=device-width\"><title>pulseboard</title>\
    <h1>The daemon runs; the page is not in it</h1>\
    <p>This binary was built without the browser dashboard. With Node.js installed, run \
    <code>npm ci &amp;&amp; npm run build</code> in <code>web/</code> and build the daemon again, or \
    let <code>cargo xtask demo</code> do both.</p>\
    <p>Meanwhile the terminal dashboard works (<code>pulseboard</code>), and so does \
    <a href=\"/api/aggregates?window=5s\">the API</a>.</p></html>";

/// Whether the browser dashboard is in this binary.
pub fn built() -> bool {
    !ASSETS.is_empty()
}

/// Answers GET and HEAD for `/` and the files of the dashboard; 404 for what is none of them.
pub async fn serve(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    let path = if path.is_empty() { "index.html" } else { path };
    if method != Method::GET && method != Method::HEAD {
        return super::other_method(&method, &uri, "GET, HEAD, OPTIONS");
    }
    if ASSETS.is_empty() && path == "index.html" {
        let kind = HeaderValue::from_static("text/html; charset=utf-8");
        return ([(header::CONTENT_TYPE, kind)], NOT_BUILT).into_response();
    }
    let Some(asset) = ASSETS.iter().find(|asset| asset.path == path) else {
        return Problem::new(
            StatusCode::NOT_FOUND,
            "not_found",
            format!("there is nothing at {}", uri.path()),
        )
        .into_response();
    };
    asset.answer(&headers)
}

impl Asset {
    fn answer(&self, request: &HeaderMap) -> Response {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(self.path)));
        headers.insert(header::ETAG, HeaderValue::from_static(self.etag));
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(CONTENT_SECURITY_POLICY),
        );
        // Files under assets/ carry a hash of their content in their name.
        let cache = if self.path.starts_with("assets/") {
            "public, max-age=31536000, immutable"
        } else {
            "no-cache"
        };
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
        if accept::has_already(request, self.etag) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        let accepts = |coding: &str| accept::coding(request, coding);
        let (body, coding) = match (self.brotli, self.gzip) {
            (Some(brotli), _) if accepts("br") => (brotli, Some("br")),
            (_, Some(gzip)) if accepts("gzip") => (gzip, Some("gzip")),
            _ => (self.plain, None),
        };
        if let Some(coding) = coding {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
        }
        (headers, body).into_response()
    }
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "json" | "webmanifest" => "application/json",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
