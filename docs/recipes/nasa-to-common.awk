# Turns the NASA-HTTP trace's tab-separated copy (host, logname, time, method, url, response, bytes,
# referer, useragent; a header line first) into the common log format. Needs any awk:
#
#   awk -f docs/recipes/nasa-to-common.awk requests.tsv | pulseboard replay -
#
# The trace has no HTTP version; the servers of its time spoke HTTP/1.0. Times are written in UTC.

BEGIN {
    FS = "\t"
    split("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec", month_name, " ")
}

NR == 1 && $3 == "time" { next }

{
    printf "%s - - [%s] \"%s %s HTTP/1.0\" %s %s\n", $1, clock($3), $4, escaped($5), $6, $7 == "" ? "-" : $7
}

# Quotes and backslashes as servers write them. Character by character: awks disagree on what a
# backslash means in the replacement of gsub.
function escaped(text,    at, one, out) {
    if (text !~ /["\\]/) return text
    for (at = 1; at <= length(text); at++) {
        one = substr(text, at, 1)
        out = out (one == "\"" || one == "\\" ? "\\" : "") one
    }
    return out
}

# Unix seconds as 01/Aug/1995:06:00:00 +0000. Years count from March, so that the leap day is last.
function clock(time,    days, secs, era, day_of_era, year_of_era, day_of_year, m, day, month, year) {
    days = int(time / 86400) + 719468
    secs = time % 86400
    era = int(days / 146097)
    day_of_era = days % 146097
    year_of_era = int((day_of_era - int(day_of_era / 1460) + int(day_of_era / 36524) \
        - int(day_of_era / 146096)) / 365)
    day_of_year = day_of_era - (365 * year_of_era + int(year_of_era / 4) - int(year_of_era / 100))
    m = int((5 * day_of_year + 2) / 153)
    day = day_of_year - int((153 * m + 2) / 5) + 1
    month = m < 10 ? m + 3 : m - 9
    year = year_of_era + era * 400 + (month <= 2)
    return sprintf("%02d/%s/%04d:%02d:%02d:%02d +0000", day, month_name[month], year, \
        int(secs / 3600), int(secs / 60) % 60, secs % 60)
}
