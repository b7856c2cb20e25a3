//! The routes of a made-up shop, the busiest first, and as many more as asked for.

/// What a route is for; decides types and statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Page,
    Api,
    Purchase,
}

/// A route and how long it usually takes.
#[derive(Clone, Debug)]
pub(super) struct Route {
    pub(super) path: String,
    /// Whether a number follows the path.
    pub(super) has_id: bool,
    pub(super) kind: Kind,
    pub(super) median_ms: f64,
    /// Standard deviation of the latency's logarithm.
    pub(super) spread: f64,
}

use Kind::{Api, Page, Purchase};

const SHOP: [(&str, bool, Kind, f64, f64); 20] = [
    ("/", false, Page, 18.0, 0.35),
    ("/product/", true, Page, 42.0, 0.45),
    ("/search", false, Page, 95.0, 0.6),
    ("/api/cart", false, Api, 21.0, 0.4),
    ("/checkout", false, Page, 110.0, 0.5),
    ("/api/recommendations", false, Api, 70.0, 0.7),
    ("/category/garden", false, Page, 38.0, 0.4),
    ("/login", false, Page, 33.0, 0.35),
    ("/api/session", false, Api, 6.0, 0.5),
    ("/account/orders", false, Page, 64.0, 0.5),
    ("/api/prices", false, Api, 9.0, 0.45),
    ("/blog/how-we-pack", false, Page, 16.0, 0.3),
    ("/category/kitchen", false, Page, 37.0, 0.4),
    ("/api/stock/", true, Api, 12.0, 0.5),
    ("/cart", false, Page, 45.0, 0.4),
    ("/api/payment", false, Purchase, 210.0, 0.45),
    ("/account", false, Page, 31.0, 0.35),
    ("/help/shipping", false, Page, 14.0, 0.3),
    ("/wishlist", false, Page, 29.0, 0.4),
    ("/reviews/", true, Page, 55.0, 0.6),
];

const SECTIONS: [&str; 6] = ["guide", "category", "help", "blog", "offers", "brand"];
const FIRST: [&str; 12] = [
    "amber", "brass", "copper", "linen", "maple", "olive", "pine", "quartz", "slate", "tidal",
    "velvet", "willow",
];
const SECOND: [&str; 15] = [
    "lamps", "rugs", "kettles", "shelves", "mirrors", "stools", "planters", "towels", "vases",
    "pillows", "hooks", "trays", "clocks", "frames", "ladders",
];

/// The first `count` routes: the shop's own, then made-up pages, each with a name of its own that
/// no normalisation changes.
pub(super) fn routes(count: u32) -> Vec<Route> {
    let shop = SHOP.iter().map(|&(path, has_id, kind, median_ms, spread)| Route {
        path: path.to_owned(),
        has_id,
        kind,
        median_ms,
        spread,
    });
    shop.chain((0..).map(made_up)).take(count as usize).collect()
}

fn made_up(number: usize) -> Route {
    let (section, rest) = (SECTIONS[number % SECTIONS.len()], number / SECTIONS.len());
    let (first, rest) = (FIRST[rest % FIRST.len()], rest / FIRST.len());
    let (second, mut round) = (SECOND[rest % SECOND.len()], rest / SECOND.len());
    let mut path = format!("/{section}/{first}-{second}");
    while round > 0 {
        path.push_str(["-by-", "-of-", "-for-", "-with-"][round % 4]);
        path.push_str(SECOND[round / 4 % SECOND.len()]);
        round /= 4 * SECOND.len();
    }
    Route { path, has_id: false, kind: Page, median_ms: 15.0 + (number % 50) as f64, spread: 0.4 }
}
