//! What every answer says besides its body: that browsers should neither guess its type, nor frame
//! it, nor keep it, nor run anything in it.
//!
//! An answer that says something else about one of these (the page, files that never change, CORS)
//! has the last word. Put around everything by [`crate::app`], and on problem documents where they
//! are made, since some are made before any layer.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// For answers that are no page: nothing in them may load, run or be framed.
const NOTHING: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
/// A year. Only behind https, where a browser may rely on it.
const TRANSPORT: HeaderValue = HeaderValue::from_static("max-age=31536000");

const EVERYWHERE: [(HeaderName, HeaderValue); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (header::CONTENT_SECURITY_POLICY, NOTHING),
];

/// Adds what an answer does not say itself.
pub fn protect(headers: &mut HeaderMap) {
    for (name, value) in EVERYWHERE {
        headers.entry(name).or_insert(value);
    }
}

/// Tells browsers to come back over https only.
pub fn keep_to_https(headers: &mut HeaderMap) {
    headers.insert(header::STRICT_TRANSPORT_SECURITY, TRANSPORT);
}

/// What only a document in a window heeds: no other window reaches it, and no device either.
pub fn seclude(headers: &mut HeaderMap) {
    headers.insert(
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    );
    headers.insert(
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static(
            "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
        ),
    );
}
