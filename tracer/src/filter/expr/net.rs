//! Networks in CIDR notation.

use std::{net::IpAddr, str::FromStr};

/// A network, or a single address as a network of one.
///
/// IPv4 addresses mapped into IPv6 (`::ffff:10.0.0.7`, what a socket for both sees)
/// are the IPv4 addresses that they stand for; IPv6 networks hold them as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Net {
    address: IpAddr,
    prefix: u8,
}

impl Net {
    /// Whether the network holds an address.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.holds(address) || self.holds(address.to_canonical())
    }

    fn holds(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                (own.to_bits() ^ other.to_bits()) & mask == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                (own.to_bits() ^ other.to_bits()) & mask == 0
            }
            _ => false,
        }
    }

    /// The network of one address.
    pub fn one(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { address, prefix: if address.is_ipv4() { 32 } else { 128 } }
    }
}

/// Not a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoNet;

impl FromStr for Net {
    type Err = NoNet;

    fn from_str(text: &str) -> Result<Self, NoNet> {
        let Some((address, prefix)) = text.split_once('/') else {
            return text.parse().map(Self::one).map_err(|_| NoNet);
        };
        let address: IpAddr = address.parse().map_err(|_| NoNet)?;
        let prefix: u8 = if prefix.bytes().all(|byte| byte.is_ascii_digit()) {
            prefix.parse().map_err(|_| NoNet)?
        } else {
            return Err(NoNet);
        };
        match address {
            IpAddr::V4(_) if prefix > 32 => Err(NoNet),
            IpAddr::V6(_) if prefix > 128 => Err(NoNet),
            IpAddr::V6(v6) if prefix >= 96 && v6.to_ipv4_mapped().is_some() => {
                Ok(Self { address: address.to_canonical(), prefix: prefix - 96 })
            }
            _ => Ok(Self { address, prefix }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(net: &str, address: &str) -> bool {
        net.parse::<Net>().unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn networks_hold_their_addresses() {
        for (net, address, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            // Bits below the prefix do not count.
            ("10.1.2.3/8", "10.9.9.9", true),
            ("10.0.0.7", "10.0.0.7", true),
            ("10.0.0.7/32", "10.0.0.6", false),
            ("0.0.0.0/0", "255.255.255.255", true),
            ("0.0.0.0/0", "::1", false),
            ("fe80::/10", "fe80::1", true),
            ("fe80::/10", "2001:db8::1", false),
            ("::/0", "10.0.0.1", false),
            ("::/0", "::ffff:10.0.0.1", true),
            ("::1", "::1", true),
            ("10.0.0.0/8", "::ffff:10.0.0.7", true),
            ("::ffff:10.0.0.0/104", "10.0.0.7", true),
            ("::ffff:10.0.0.0/104", "::ffff:11.0.0.7", false),
            ("::ffff:10.0.0.7", "10.0.0.7", true),
        ] {
            assert_eq!(holds(net, address), expected, "{address} in {net}");
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in ["", "/", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/", "10.0.0.0/+8", "x"]
        {
            assert_eq!(text.parse::<Net>(), Err(NoNet), "{text}");
        }
    }
}
