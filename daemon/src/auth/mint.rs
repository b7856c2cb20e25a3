//! Making secrets and tokens, for `--init-auth` and the benchmarks. The daemon that serves mints
//! nothing.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use pulseboard::claims::Claims;
use rand::TryRngCore as _;
use rand::rngs::OsRng;

/// A new HS256 secret as text: 64 hexadecimal digits, 256 bits of the system's generator.
pub fn new_secret() -> Result<String, String> {
    let draw = || OsRng.try_next_u64().map_err(|error| error.to_string());
    Ok(format!("{:016x}{:016x}{:016x}{:016x}", draw()?, draw()?, draw()?, draw()?))
}

/// A token signed with an HS256 secret.
pub fn mint(claims: &Claims, secret: &[u8]) -> String {
    encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(secret))
        .expect("claims are plain data and HS256 takes any secret")
}
