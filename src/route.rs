//! Routes in the form they are stored, counted and filtered by.
//!
//! Query and fragment are cut, always. Then, unless normalising is off, a route that fits one of
//! the configured patterns becomes that pattern, and in any other route each segment that is
//! nothing but a number, a UUID or a hexadecimal id of 16 digits or more becomes `:id`. The rest
//! stays as sent: case, percent-encoding, empty segments and a trailing slash are the client's
//! (`/a` and `/a/` are two routes). A text that does not begin with `/` is split in the same way.
//! Normalising twice changes nothing more. Writing a stored route allocates nothing. Used by [`crate::decode`] for
//! events and by [`crate::filter`] for what they are compared with.

use std::borrow::Cow;

use thiserror::Error;

use crate::limits;

/// What an id's segment becomes.
const ID: &str = ":id";
/// Hexadecimal digits from which on a segment is taken for an id; shorter ones may be words.
const HEX_DIGITS_MIN: usize = 16;
/// Most patterns: each unmatched route is compared with every one.
pub const PATTERNS_MAX: usize = 100;

/// How routes are normalised: `routes.normalise` and `routes.patterns`.
#[derive(Clone, Debug, Default)]
pub struct Normaliser {
    off: bool,
    patterns: Vec<Pattern>,
}

/// Why a pattern of `routes.patterns` cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PatternError {
    /// It is no path.
    #[error("the pattern `{0}` must begin with `/`")]
    NoSlash(String),
    /// It could never match.
    #[error("the pattern `{0}` must not contain `?` or `#`: query and fragment are cut before")]
    Query(String),
    /// `**` stands for all the rest.
    #[error("the pattern `{0}` may have `**` as its last segment only")]
    RestInside(String),
    /// Longer than a route may be.
    #[error("the pattern `{0}` is longer than {max} bytes", max = limits::ROUTE_BYTES)]
    TooLong(String),
    /// More than are compared with each route.
    #[error("{0} patterns are more than {max}", max = PATTERNS_MAX)]
    TooMany(usize),
}

impl Normaliser {
    /// A normaliser with patterns such as `/user/:name`, `/blog/*/comments` or `/static/**`, the
    /// first that fits wins: `:name` and `*` stand for one segment that is not empty, a last `**`
    /// for one segment or more. With `normalise` false only query and fragment are cut.
    pub fn new<S: AsRef<str>>(normalise: bool, patterns: &[S]) -> Result<Self, PatternError> {
        if patterns.len() > PATTERNS_MAX {
            return Err(PatternError::TooMany(patterns.len()));
        }
        let patterns =
            patterns.iter().map(|p| Pattern::new(p.as_ref())).collect::<Result<_, _>>()?;
        Ok(Self { off: !normalise, patterns })
    }

    /// Brings a route without query and fragment (see [`cut`]) to its stored form, piece by piece.
    pub fn write(&self, route: &str, mut piece: impl FnMut(&str)) {
        if self.off {
            return piece(route);
        }
        if let Some(pattern) = self.pattern_for(route) {
            return piece(pattern);
        }
        // Everything before `kept` is written.
        let (mut kept, mut from) = (0, 0);
        for slash in memchr::memchr_iter(b'/', route.as_bytes()).chain([route.len()]) {
            if is_id(&route.as_bytes()[from..slash]) {
                piece(&route[kept..from]);
                piece(ID);
                kept = slash;
            }
            from = slash + 1;
        }
        if kept < route.len() {
            piece(&route[kept..]);
        }
    }

    /// The stored form of a route as a client sends it, query and all.
    pub fn normalise<'a>(&self, route: &'a str) -> Cow<'a, str> {
        let route = cut(route);
        let mut text = String::new();
        self.write(route, |piece| text.push_str(piece));
        if text == route { Cow::Borrowed(route) } else { Cow::Owned(text) }
    }

    /// The stored form of what routes begin with: whole segments as in a route, the last one, which
    /// may go on, as it is.
    pub fn normalise_prefix<'a>(&self, prefix: &'a str) -> Cow<'a, str> {
        let whole = prefix.rfind('/').map_or(0, |slash| slash + 1);
        if self.off || whole == 0 {
            return Cow::Borrowed(prefix);
        }
        let segments = Self { off: false, patterns: Vec::new() };
        match segments.normalise(&prefix[..whole]) {
            Cow::Borrowed(_) => Cow::Borrowed(prefix),
            Cow::Owned(text) => Cow::Owned(text + &prefix[whole..]),
        }
    }

    fn pattern_for(&self, route: &str) -> Option<&str> {
        if self.patterns.iter().any(|pattern| pattern.text == route) {
            return None;
        }
        self.patterns.iter().find(|pattern| pattern.fits(route)).map(|pattern| &*pattern.text)
    }
}

/// The route without its query and fragment.
pub fn cut(route: &str) -> &str {
    match memchr::memchr2(b'?', b'#', route.as_bytes()) {
        Some(end) => &route[..end],
        None => route,
    }
}

/// Whether a segment is an id: digits alone, a UUID, or long hexadecimal with a digit in it.
fn is_id(segment: &[u8]) -> bool {
    let Some(first) = segment.first() else { return false };
    if !first.is_ascii_hexdigit() {
        return false;
    }
    if segment.iter().all(u8::is_ascii_digit) {
        return true;
    }
    if segment.len() == 36 && [8, 13, 18, 23].iter().all(|at| segment[*at] == b'-') {
        return segment
            .iter()
            .enumerate()
            .all(|(at, b)| b.is_ascii_hexdigit() || matches!(at, 8 | 13 | 18 | 23));
    }
    segment.len() >= HEX_DIGITS_MIN
        && segment.iter().all(u8::is_ascii_hexdigit)
        && segment.iter().any(u8::is_ascii_digit)
}

#[derive(Clone, Debug)]
struct Pattern {
    text: String,
}

impl Pattern {
    fn new(text: &str) -> Result<Self, PatternError> {
        let owned = text.to_owned();
        if !text.starts_with('/') {
            return Err(PatternError::NoSlash(owned));
        }
        if text.contains(['?', '#']) {
            return Err(PatternError::Query(owned));
        }
        if text.len() > limits::ROUTE_BYTES {
            return Err(PatternError::TooLong(owned));
        }
        let last = text.rsplit('/').next().unwrap_or_default();
        if text.split('/').filter(|segment| *segment == "**").count() > usize::from(last == "**") {
            return Err(PatternError::RestInside(owned));
        }
        Ok(Self { text: owned })
    }

    fn fits(&self, route: &str) -> bool {
        let mut segments = route.split('/');
        for want in self.text.split('/') {
            let Some(segment) = segments.next() else { return false };
            let fits = match want {
                "**" => return true,
                "*" => !segment.is_empty(),
                name if name.len() > 1 && name.starts_with(':') => !segment.is_empty(),
                literal => literal == segment,
            };
            if !fits {
                return false;
            }
        }
        segments.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn on(patterns: &[&str]) -> Normaliser {
        Normaliser::new(true, patterns).expect("patterns of the test are right")
    }

    #[test]
    fn ids_in_a_route_become_one_name() {
        let cases = [
            ("/", "/"),
            ("//", "//"),
            ("/a/", "/a/"),
            ("/users/42", "/users/:id"),
            ("/users/42/", "/users/:id/"),
            ("/users/42/posts/7?x=1#y", "/users/:id/posts/:id"),
            ("/#top", "/"),
            ("/x/0190a5f0-5b1e-7cc2-9d3a-1f2e3d4c5b6a", "/x/:id"),
            ("/x/0190A5F0-5B1E-7CC2-9D3A-1F2E3D4C5B6A/y", "/x/:id/y"),
            ("/c/9fceb02d0ae598e95dc970b74767f19372d61af8", "/c/:id"),
            ("/c/9fceb02d0ae598e", "/c/9fceb02d0ae598e"),
            ("/c/deadbeefdeadbeefdead", "/c/deadbeefdeadbeefdead"),
            ("/v1/x", "/v1/x"),
            ("/2.0/x", "/2.0/x"),
            ("42", ":id"),
            ("shop/42/cart", "shop/:id/cart"),
            ("/x/٣", "/x/٣"),
            ("GET /raw 1", "GET /raw 1"),
        ];
        for (sent, stored) in cases {
            assert_eq!(on(&[]).normalise(sent), stored, "{sent}");
        }
    }

    #[test]
    fn the_first_pattern_that_fits_names_the_route() {
        let routes = on(&["/user/:name", "/blog/*/comments", "/static/**", "/user/:name/:tab"]);
        let cases = [
            ("/user/ada", "/user/:name"),
            ("/user/42?tab=1", "/user/:name"),
            ("/user/", "/user/"),
            ("/user/ada/likes", "/user/:name/:tab"),
            ("/blog/on-rust/comments", "/blog/*/comments"),
            ("/blog/on-rust/comments/9", "/blog/on-rust/comments/:id"),
            ("/static/a/b/c.css", "/static/**"),
            ("/static", "/static"),
            ("/static/**", "/static/**"),
        ];
        for (sent, stored) in cases {
            assert_eq!(routes.normalise(sent), stored, "{sent}");
        }
    }

    #[test]
    fn switched_off_it_still_cuts_the_query() {
        let routes = Normaliser::new(false, &["/user/:name"]).expect("right");
        assert_eq!(routes.normalise("/user/42?x#y"), "/user/42");
        assert_eq!(routes.normalise_prefix("/user/42/"), "/user/42/");
    }

    #[test]
    fn a_prefix_keeps_its_last_segment_open() {
        assert_eq!(on(&[]).normalise_prefix("/users/42/p"), "/users/:id/p");
        assert_eq!(on(&[]).normalise_prefix("/users/42"), "/users/42");
        assert_eq!(on(&["/users/:name/:x"]).normalise_prefix("/users/ada/"), "/users/ada/");
    }

    #[test]
    fn a_pattern_that_cannot_work_is_refused_with_the_reason() {
        let refused = |pattern: &str| Normaliser::new(true, &[pattern]).expect_err(pattern);
        assert_eq!(refused("user"), PatternError::NoSlash("user".into()));
        assert_eq!(refused("/a?b"), PatternError::Query("/a?b".into()));
        assert_eq!(refused("/**/a"), PatternError::RestInside("/**/a".into()));
        assert_eq!(refused("/**/**"), PatternError::RestInside("/**/**".into()));
        assert!(matches!(refused(&"/a".repeat(300)), PatternError::TooLong(_)));
        let many = vec!["/a"; 101];
        assert_eq!(Normaliser::new(true, &many).expect_err("many"), PatternError::TooMany(101));
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing_more(route in "(/([0-9]{1,3}|[a-f0-9]{14,18}|[a-z*:]{0,3}|é)){0,5}[?#/]?") {
            let routes = on(&["/a/:x", "/*/b/**", "/a/**"]);
            let once = routes.normalise(&route).into_owned();
            prop_assert_eq!(routes.normalise(&once), once.as_str());
            prop_assert!(once.len() <= 4 * route.len() + 16);
        }
    }
}
