//! The choice between a plan and Burn's own backend.

use std::{fmt, str::FromStr};

use burn::tensor::Device;

/// What runs a frozen network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum Engine {
    /// A [`Plan`](crate::Plan) on the CPU, Burn on any other device.
    #[default]
    Fused,
    /// Burn's backend of the device.
    Burn,
}

/// A text that names no engine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid engine `{0}`; valid are fused and burn")]
pub struct ParseEngineError(String);

impl Engine {
    /// Whether a network on `device` is to run as a plan.
    pub fn uses_plan(self, device: &Device) -> bool {
        self == Self::Fused && *device == Device::flex()
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Fused => "fused",
            Self::Burn => "burn",
        })
    }
}

impl FromStr for Engine {
    type Err = ParseEngineError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "fused" => Ok(Self::Fused),
            "burn" => Ok(Self::Burn),
            _ => Err(ParseEngineError(text.to_owned())),
        }
    }
}

/// In what the convolutions of a plan multiply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
pub enum Arithmetic {
    /// 32-bit floats.
    F32,
    /// Integers of eight bits, for networks whose [`InputRanges`](crate::InputRanges) are known.
    Int8,
}

/// A text that names no arithmetic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid precision `{0}`; valid are f32 and int8")]
pub struct ParseArithmeticError(String);

impl fmt::Display for Arithmetic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::F32 => "f32",
            Self::Int8 => "int8",
        })
    }
}

impl FromStr for Arithmetic {
    type Err = ParseArithmeticError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "f32" => Ok(Self::F32),
            "int8" => Ok(Self::Int8),
            _ => Err(ParseArithmeticError(text.to_owned())),
        }
    }
}
