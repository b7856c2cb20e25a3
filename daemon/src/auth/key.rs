//! Keys: what signs tokens, or proves that they were signed. The key says which algorithm is used;
//! a token has no say in it.
//!
//! Takes text, reads no file. Every refusal is a clause that follows the name of the setting, and
//! says what to do.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, DecodingKey};

/// HS256 signs with at least as many bytes as its digest has (RFC 7518, 3.2).
const SECRET_BYTES_MIN: usize = 32;
/// Sizes of RSA keys that RS256 takes, in bits (RFC 7518, 3.3).
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=8_192;
/// A point of P-256: a byte that says it is not compressed, and two coordinates.
const P256_POINT_BYTES: usize = 65;
const ED25519_BYTES: usize = 32;

/// What is asked of every token.
#[derive(Clone, Debug, PartialEq)]
pub struct Keys {
    /// It was signed with this.
    pub key: Key,
    /// It names this issuer.
    pub iss: Option<String>,
    /// It is meant for this audience, perhaps among others.
    pub aud: Option<String>,
}

/// A key and its algorithm.
#[derive(Clone, Debug)]
pub struct Key {
    algorithm: Algorithm,
    decoding: DecodingKey,
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        let bytes = |key: &Self| key.decoding.try_get_as_bytes().ok().map(<[u8]>::to_vec);
        self.algorithm == other.algorithm && bytes(self) == bytes(other)
    }
}

/// Why a key is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A secret that can be guessed.
    #[error(
        "{0} bytes are too few to sign with; at least {SECRET_BYTES_MIN} (pulseboardd --init-auth \
         makes a good one)"
    )]
    ShortSecret(usize),
    /// A key of a pair where a secret belongs: with the public one anybody could sign.
    #[error(
        "this is a PEM file, not a secret; a public key goes in auth.public_key_file, and a secret \
         is a text that only the daemon and who mints tokens know"
    )]
    PemAsSecret,
    /// Not PEM.
    #[error(
        "it holds no PEM block; it takes a public key, which begins with -----BEGIN PUBLIC KEY-----"
    )]
    NoPem,
    /// The half that signs.
    #[error(
        "it holds a private key, which the daemon must not have; write the public one with \
         `openssl pkey -in PRIVATE.pem -pubout -out PUBLIC.pem` and name that"
    )]
    Private,
    /// A certificate, or a chain of them.
    #[error(
        "it holds {}; write the key of the one that signs with \
         `openssl x509 -in CERTIFICATE.pem -noout -pubkey > PUBLIC.pem` and name that",
        if *(.0) == 1 { "a certificate".to_owned() } else { format!("a chain of {} certificates", .0) }
    )]
    Certificates(usize),
    /// Which one?
    #[error("it holds {0} PEM blocks; it takes one public key")]
    Several(usize),
    /// A key that signs no tokens of ours.
    #[error("it holds {0}; tokens are signed with RSA, ECDSA on P-256, or Ed25519")]
    Kind(String),
    /// An RSA key that is too weak, or too slow.
    #[error("it holds an RSA key of {0} bits; it takes 2048 to 8192")]
    RsaSize(usize),
    /// Cut off, or edited.
    #[error("its public key cannot be read: the file is damaged")]
    Damaged,
}

impl Key {
    /// A shared secret: HS256.
    pub fn secret(secret: &str) -> Result<Self, KeyError> {
        if secret.contains("-----BEGIN ") {
            return Err(KeyError::PemAsSecret);
        }
        if secret.len() < SECRET_BYTES_MIN {
            return Err(KeyError::ShortSecret(secret.len()));
        }
        let decoding = DecodingKey::from_secret(secret.as_bytes());
        Ok(Self { algorithm: Algorithm::HS256, decoding })
    }

    /// A public key in PEM: RS256, ES256 or EdDSA, by what it is.
    pub fn public(pem: &str) -> Result<Self, KeyError> {
        let blocks = blocks(pem);
        if blocks.iter().any(|(label, _)| label.ends_with("PRIVATE KEY")) {
            return Err(KeyError::Private);
        }
        let certificates = blocks.iter().filter(|(label, _)| label.contains("CERTIFICATE"));
        match (certificates.count(), blocks.as_slice()) {
            (_, []) => Err(KeyError::NoPem),
            (certificates @ 1.., _) => Err(KeyError::Certificates(certificates)),
            (_, [(label, body)]) => {
                let der = STANDARD.decode(body).map_err(|_| KeyError::Damaged)?;
                match label.as_str() {
                    "PUBLIC KEY" => spki(&der),
                    "RSA PUBLIC KEY" => rsa(&der),
                    other => Err(KeyError::Kind(format!("a block of {other}"))),
                }
            }
            (_, several) => Err(KeyError::Several(several.len())),
        }
    }

    /// As a token's header writes it.
    pub fn algorithm_name(&self) -> &'static str {
        match self.algorithm {
            Algorithm::RS256 => "RS256",
            Algorithm::ES256 => "ES256",
            Algorithm::EdDSA => "EdDSA",
            _ => "HS256",
        }
    }

    /// Whether `signature` (as a token carries it) is this key's for `message`; `None` when it is
    /// not base64url without padding.
    pub(super) fn signed(&self, message: &str, signature: &str) -> Option<bool> {
        jsonwebtoken::crypto::verify(signature, message.as_bytes(), &self.decoding, self.algorithm)
            .ok()
    }
}

/// The blocks of a PEM file: label, and base64 without its line ends.
fn blocks(pem: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in pem.lines().map(str::trim) {
        if let Some(label) = marked(line, "-----BEGIN ") {
            open = Some((label.to_owned(), String::new()));
        } else if marked(line, "-----END ").is_some() {
            blocks.extend(open.take());
        } else if let Some((_, body)) = &mut open {
            body.push_str(line);
        }
    }
    // A block that does not end was cut off: it counts, and will not decode.
    blocks.extend(open.map(|(label, body)| (label, body + "!")));
    blocks
}

fn marked<'a>(line: &'a str, mark: &str) -> Option<&'a str> {
    line.strip_prefix(mark)?.strip_suffix("-----")
}

/// Object identifiers, as DER holds them, without tag and length.
mod oid {
    pub(super) const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
    pub(super) const RSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10];
    pub(super) const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
    pub(super) const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
    pub(super) const P384: &[u8] = &[0x2b, 0x81, 4, 0, 34];
    pub(super) const P521: &[u8] = &[0x2b, 0x81, 4, 0, 35];
    pub(super) const SECP256K1: &[u8] = &[0x2b, 0x81, 4, 0, 10];
    pub(super) const X25519: &[u8] = &[0x2b, 0x65, 110];
    pub(super) const ED25519: &[u8] = &[0x2b, 0x65, 112];
    pub(super) const ED448: &[u8] = &[0x2b, 0x65, 113];
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OBJECT_ID: u8 = 0x06;

/// A `SubjectPublicKeyInfo` (RFC 5280, 4.1.2.7): which algorithm, and the key in its own form.
fn spki(der: &[u8]) -> Result<Key, KeyError> {
    let mut outer = der;
    let mut info = take(&mut outer, SEQUENCE)?;
    let mut algorithm = take(&mut info, SEQUENCE)?;
    let kind = take(&mut algorithm, OBJECT_ID)?;
    // The first byte counts unused bits: none.
    let key = take(&mut info, BIT_STRING)?.strip_prefix(&[0]).ok_or(KeyError::Damaged)?;
    if !outer.is_empty() || !info.is_empty() {
        return Err(KeyError::Damaged);
    }
    let other = |name: &str| Err(KeyError::Kind(name.to_owned()));
    match kind {
        oid::RSA => rsa(key),
        oid::EC => match take(&mut algorithm, OBJECT_ID)? {
            oid::P256 if key.len() == P256_POINT_BYTES && key[0] == 4 => {
                Ok(Key { algorithm: Algorithm::ES256, decoding: DecodingKey::from_ec_der(key) })
            }
            oid::P256 => other("a compressed point of P-256"),
            oid::P384 => other("an ECDSA key on P-384"),
            oid::P521 => other("an ECDSA key on P-521"),
            oid::SECP256K1 => other("an ECDSA key on secp256k1"),
            _ => other("an ECDSA key on another curve"),
        },
        oid::ED25519 if key.len() == ED25519_BYTES => {
            Ok(Key { algorithm: Algorithm::EdDSA, decoding: DecodingKey::from_ed_der(key) })
        }
        oid::ED25519 => Err(KeyError::Damaged),
        oid::RSA_PSS => other("an RSA key for PSS alone"),
        oid::ED448 => other("an Ed448 key"),
        oid::X25519 => other("an X25519 key, which cannot sign"),
        _ => other("a key of another kind"),
    }
}

/// An `RSAPublicKey` (RFC 8017, A.1.1): modulus and exponent.
fn rsa(der: &[u8]) -> Result<Key, KeyError> {
    let mut outer = der;
    let mut numbers = take(&mut outer, SEQUENCE)?;
    let modulus = take(&mut numbers, INTEGER)?;
    take(&mut numbers, INTEGER)?;
    let digits = modulus.strip_prefix(&[0]).unwrap_or(modulus);
    let first = *digits.first().ok_or(KeyError::Damaged)?;
    let bits = digits.len() * 8 - first.leading_zeros() as usize;
    if !RSA_BITS.contains(&bits) {
        return Err(KeyError::RsaSize(bits));
    }
    Ok(Key { algorithm: Algorithm::RS256, decoding: DecodingKey::from_rsa_der(der) })
}

/// The content of the next element, which must have this tag.
fn take<'a>(der: &mut &'a [u8], tag: u8) -> Result<&'a [u8], KeyError> {
    let (&found, rest) = der.split_first().ok_or(KeyError::Damaged)?;
    let (&short, mut rest) = rest.split_first().ok_or(KeyError::Damaged)?;
    let length = if short < 0x80 {
        short as usize
    } else {
        let (digits, after) =
            rest.split_at_checked((short & 0x7f) as usize).ok_or(KeyError::Damaged)?;
        rest = after;
        if digits.is_empty() || digits.len() > 3 {
            return Err(KeyError::Damaged);
        }
        digits.iter().fold(0, |length, digit| length << 8 | *digit as usize)
    };
    if found != tag {
        return Err(KeyError::Damaged);
    }
    let (content, rest) = rest.split_at_checked(length).ok_or(KeyError::Damaged)?;
    *der = rest;
    Ok(content)
}
