//! The time in an access log: `17/May/2015:10:05:03 +0000`. Called by the line parser.

const MONTHS: [&[u8; 3]; 12] = [
    b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec",
];

/// Unix ms of `day/month/year:hour:minute:second[ +hhmm]`; without an offset it is UTC.
pub(super) fn parse(text: &[u8]) -> Option<i64> {
    let (clock, offset) = match memchr::memchr(b' ', text) {
        Some(space) => (&text[..space], offset_secs(text[space + 1..].trim_ascii())?),
        None => (text, 0),
    };
    let mut parts = clock.split(|byte| matches!(byte, b'/' | b':'));
    let day = digits(parts.next()?, 2)?;
    let month = month(parts.next()?)?;
    let year = digits(parts.next()?, 4)?;
    let hour = digits(parts.next()?, 2)?;
    let minute = digits(parts.next()?, 2)?;
    // Servers that count milliseconds write them behind the second.
    let mut second_parts = parts.next()?.split(|byte| *byte == b'.');
    let second = digits(second_parts.next()?, 2)?;
    let millis = second_parts.next().map_or(Some(0), |text| digits(text, 3))?;
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    if day == 0 || day > days_in(year, month) {
        return None;
    }
    let secs = days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    Some((secs - offset) * 1_000 + millis)
}

fn digits(text: &[u8], most: usize) -> Option<i64> {
    if text.is_empty() || text.len() > most || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0')))
}

fn month(text: &[u8]) -> Option<i64> {
    let at = MONTHS.iter().position(|name| text.eq_ignore_ascii_case(*name))?;
    Some(at as i64 + 1)
}

/// Seconds east of UTC of `+hhmm`, `-hhmm`, `+hh:mm` or `Z`.
fn offset_secs(text: &[u8]) -> Option<i64> {
    let (sign, rest) = match text {
        b"Z" | b"UTC" | b"GMT" => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = match rest {
        [_, _, b':', minutes @ ..] | [_, _, minutes @ ..] => (&rest[..2], minutes),
        _ => return None,
    };
    let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar. Years are counted from March, so that
/// the leap day is a year's last, in eras of 400 years (146,097 days).
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let month_from_march = (month + 9) % 12;
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_moves_the_time_to_utc() {
        assert_eq!(parse(b"01/Aug/1995:02:00:00 -0400"), Some(807_256_800_000));
        assert_eq!(parse(b"01/Aug/1995:06:00:00 +0000"), Some(807_256_800_000));
        assert_eq!(parse(b"01/Aug/1995:11:30:00 +05:30"), Some(807_256_800_000));
        assert_eq!(parse(b"1/aug/1995:06:00:00"), Some(807_256_800_000));
    }

    #[test]
    fn every_day_of_a_century_is_one_after_the_day_before() {
        let mut expected = 0;
        for year in 1970..2101 {
            for month in 1..=12 {
                for day in 1..=days_in(year, month) {
                    assert_eq!(days_since_1970(year, month, day), expected);
                    expected += 1;
                }
            }
        }
    }

    #[test]
    fn days_hours_and_months_that_do_not_exist_are_refused() {
        for text in [
            "29/Feb/2015:00:00:00 +0000",
            "00/May/2015:00:00:00 +0000",
            "17/Mai/2015:10:05:03 +0000",
            "17/May/2015:24:05:03 +0000",
            "17/May/2015:10:05 +0000",
            "17/May/2015:10:05:03 0000",
            "17/May/2015:10:05:03 +00x0",
            "17/May/20155:10:05:03 +0000",
            "",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
        assert!(parse(b"29/Feb/2016:23:59:60 +0000").is_some());
    }
}
