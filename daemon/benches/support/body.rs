//! Realistic events whose ids can be made fresh in place, so that the driver costs next to nothing.

/// Width of the number in an event's id.
const DIGITS: usize = 12;

/// A text with places for fresh numbers.
#[derive(Clone)]
pub(crate) struct Template {
    pub(crate) bytes: Vec<u8>,
    places: Vec<usize>,
    /// Digits further on that take the same number in another range: offset from the place, width,
    /// range.
    also: Vec<(usize, usize, u64)>,
}

impl Template {
    /// Writes the next numbers into their places.
    pub(crate) fn renew(&mut self, next: &mut u64) {
        for place in &self.places {
            write_digits(&mut self.bytes[*place..place + DIGITS], *next);
            for (offset, width, range) in &self.also {
                let from = place + offset;
                let spread = next.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
                write_digits(&mut self.bytes[from..from + width], spread % range);
            }
            *next += 1;
        }
    }

    /// The same with other text around it.
    pub(crate) fn wrapped(&self, before: &[u8], after: &[u8]) -> Self {
        let mut bytes = before.to_vec();
        bytes.extend_from_slice(&self.bytes);
        bytes.extend_from_slice(after);
        let places = self.places.iter().map(|place| place + before.len()).collect();
        Self { bytes, places, also: self.also.clone() }
    }
}

fn write_digits(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// `count` events of about 190 bytes, one a line; `salt` keeps the ids of drivers apart.
pub(crate) fn ndjson(count: usize, salt: u32) -> Template {
    let mut bytes = Vec::new();
    let mut places = Vec::new();
    for index in 0..count {
        let mixed = (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        let prefix = format!("{{\"eventId\":\"b{salt:04x}-");
        bytes.extend_from_slice(prefix.as_bytes());
        places.push(bytes.len());
        let status = if mixed.is_multiple_of(97) { 503 } else { 200 };
        bytes.extend_from_slice(
            format!(
                "{:0DIGITS$}\",\"type\":\"page_view\",\"route\":\"/shop/category-{}/item\",\
                 \"userId\":\"user-{:06}\",\"sessionId\":\"session-{:07}\",\"status\":{status},\
                 \"latencyMs\":{}.{}}}\n",
                0,
                mixed % 300,
                mixed % 20_000,
                mixed % 60_000,
                5 + mixed % 400,
                mixed % 10,
            )
            .as_bytes(),
        );
    }
    bytes.pop();
    Template { bytes, places, also: Vec::new() }
}

/// The same without ids: the daemon makes them.
pub(crate) fn nameless(count: usize) -> Template {
    let text = String::from_utf8(ndjson(count, 0).bytes).unwrap();
    let id = format!("\"eventId\":\"b0000-{:0DIGITS$}\",", 0);
    Template { bytes: text.replace(&id, "").into_bytes(), places: Vec::new(), also: Vec::new() }
}

/// `count` events of a million users on 100,000 routes.
pub(crate) fn wide(count: usize, salt: u32) -> Template {
    let id = format!("{{\"eventId\":\"w{salt:04x}-");
    let route = "\",\"type\":\"page_view\",\"route\":\"/shop/item-";
    let user = "/view\",\"latencyMs\":12.5,\"status\":200,\"userId\":\"user-";
    let line = format!("{id}{:0DIGITS$}{route}00000{user}000000\"}}\n", 0);
    let first = DIGITS + route.len();
    let also = vec![(first, 5, 100_000), (first + 5 + user.len(), 6, 1_000_000)];
    let places = (0..count).map(|index| index * line.len() + id.len()).collect();
    let mut bytes = line.repeat(count).into_bytes();
    bytes.pop();
    Template { bytes, places, also }
}

/// An HTTP request that posts the body.
pub(crate) fn post(body: &Template, content_type: &str) -> Template {
    post_with(body, content_type, "")
}

/// The same with more header lines, each ended by CR LF.
pub(crate) fn post_with(body: &Template, content_type: &str, headers: &str) -> Template {
    let head = format!(
        "POST /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {content_type}\r\n\
         {headers}Content-Length: {}\r\n\r\n",
        body.bytes.len()
    );
    body.wrapped(head.as_bytes(), b"")
}
