//! Which device the networks run on.

use std::{fmt, str::FromStr};

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

/// Which device to run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum DeviceChoice {
    /// The first GPU, or the CPU where there is none.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// A GPU: the first, or the one of the given number in the order discrete, integrated,
    /// virtual, software.
    Gpu(Option<usize>),
}

/// The requested device is not available.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// A text does not name a device.
    #[error("invalid device `{0}`; valid are auto, cpu, gpu and gpu:N")]
    Parse(String),
    /// The program was built for the CPU only.
    #[error("this build has no GPU support (Cargo feature `gpu`)")]
    NotBuilt,
    /// The machine has no such adapter.
    #[error("no GPU{}: {found}", number.map(|n| format!(" number {n}")).unwrap_or_default())]
    NoAdapter {
        /// The number asked for.
        number: Option<usize>,
        /// What was found instead.
        found: String,
    },
    /// The adapter is there but cannot be used.
    #[error("cannot use {name}: {reason}")]
    Open {
        /// The adapter's name.
        name: String,
        /// The driver's reason.
        reason: String,
    },
}

/// A device ready for use.
#[derive(Debug)]
#[non_exhaustive]
pub struct OpenDevice {
    /// The device.
    pub device: Device,
    /// What it is, such as `CPU` or an adapter's name.
    pub name: String,
    /// Why the CPU was taken although a GPU would have been, if so.
    pub fallback: Option<String>,
}

impl OpenDevice {
    /// Whether it is the CPU.
    pub fn is_cpu(&self) -> bool {
        self.device == Device::flex()
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Gpu(None) => f.write_str("gpu"),
            Self::Gpu(Some(number)) => write!(f, "gpu:{number}"),
        }
    }
}

impl From<DeviceChoice> for String {
    fn from(choice: DeviceChoice) -> Self {
        choice.to_string()
    }
}

impl TryFrom<String> for DeviceChoice {
    type Error = DeviceError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl FromStr for DeviceChoice {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "gpu" => Ok(Self::Gpu(None)),
            _ => text
                .strip_prefix("gpu:")
                .and_then(|number| number.parse().ok())
                .map(|number| Self::Gpu(Some(number)))
                .ok_or_else(|| DeviceError::Parse(text.to_owned())),
        }
    }
}

impl DeviceChoice {
    /// Opens the device.
    ///
    /// `Auto` never fails: without a GPU, or with only a software one, it takes the CPU and says
    /// why.
    ///
    /// # Errors
    /// If a GPU is asked for and none can be used, or this build has no GPU support.
    pub fn open(self) -> Result<OpenDevice, DeviceError> {
        match self {
            Self::Cpu => Ok(cpu(None)),
            Self::Auto => Ok(automatic()),
            Self::Gpu(number) => gpu(number),
        }
    }
}

fn cpu(fallback: Option<String>) -> OpenDevice {
    OpenDevice { device: Device::flex(), name: "CPU".to_owned(), fallback }
}

#[cfg(not(feature = "gpu"))]
fn automatic() -> OpenDevice {
    cpu(None)
}

#[cfg(not(feature = "gpu"))]
fn gpu(_number: Option<usize>) -> Result<OpenDevice, DeviceError> {
    Err(DeviceError::NotBuilt)
}

#[cfg(feature = "gpu")]
use adapters::{automatic, gpu};

#[cfg(feature = "gpu")]
mod adapters {
    //! The GPUs that wgpu drives.

    use std::sync::{Mutex, PoisonError};

    use burn::tensor::{
        Device, DeviceKind,
        wgpu::{
            WgpuBackend,
            wgpu::{Adapter as WgpuAdapter, Backend, DeviceType, Instance, InstanceDescriptor},
        },
    };

    use super::{DeviceError, OpenDevice, cpu};

    /// An adapter and how Burn calls it.
    struct Adapter {
        name: String,
        api: WgpuBackend,
        kind: DeviceKind,
    }

    impl Adapter {
        fn is_software(&self) -> bool {
            matches!(self.kind, DeviceKind::Cpu)
        }

        /// Opens the adapter, or hands out again what was opened before: Burn opens each once per
        /// process.
        fn open(self) -> Result<OpenDevice, DeviceError> {
            static OPENED: Mutex<Vec<(DeviceKind, Device)>> = Mutex::new(Vec::new());
            let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
            let known = opened.iter().find(|(kind, _)| *kind == self.kind);
            let device = match known {
                Some((_, device)) => device.clone(),
                None => {
                    let options = Device::wgpu_options().device_kind(self.kind.clone());
                    let device = options.graphics_api(self.api).init().map_err(|error| {
                        DeviceError::Open { name: self.name.clone(), reason: error.to_string() }
                    })?;
                    opened.push((self.kind, device.clone()));
                    device
                }
            };
            Ok(OpenDevice { device, name: self.name, fallback: None })
        }
    }

    /// The adapters of the first graphics interface that has a GPU, else of the first that has any:
    /// discrete, integrated, virtual, software.
    fn adapters() -> Vec<Adapter> {
        let interfaces = [
            (Backend::Vulkan, WgpuBackend::Vulkan),
            (Backend::Metal, WgpuBackend::Metal),
            (Backend::Dx12, WgpuBackend::Dx12),
        ];
        let mut software = Vec::new();
        for (backend, api) in interfaces {
            let found = adapters_of(backend, api);
            if found.iter().any(|adapter| !adapter.is_software()) {
                return found;
            }
            if software.is_empty() {
                software = found;
            }
        }
        software
    }

    fn adapters_of(backend: Backend, api: WgpuBackend) -> Vec<Adapter> {
        let instance = Instance::new(InstanceDescriptor {
            backends: backend.into(),
            ..InstanceDescriptor::new_without_display_handle()
        });
        let infos: Vec<_> = pollster::block_on(instance.enumerate_adapters(backend.into()))
            .iter()
            .map(WgpuAdapter::get_info)
            .collect();
        let order = [
            DeviceType::DiscreteGpu,
            DeviceType::IntegratedGpu,
            DeviceType::VirtualGpu,
            DeviceType::Cpu,
        ];
        order
            .into_iter()
            .flat_map(|device_type| {
                let of_type = infos.iter().filter(move |info| info.device_type == device_type);
                of_type.enumerate().filter_map(move |(index, info)| {
                    let kind = match device_type {
                        DeviceType::DiscreteGpu => DeviceKind::DiscreteGpu(index),
                        DeviceType::IntegratedGpu => DeviceKind::IntegratedGpu(index),
                        DeviceType::VirtualGpu => DeviceKind::VirtualGpu(index),
                        // Burn tells only one software adapter.
                        DeviceType::Cpu if index == 0 => DeviceKind::Cpu,
                        _ => return None,
                    };
                    Some(Adapter { name: format!("{} ({backend:?})", info.name), api, kind })
                })
            })
            .collect()
    }

    /// The first GPU that is not software, else the CPU.
    pub(super) fn automatic() -> OpenDevice {
        let mut reason = "no GPU found".to_owned();
        for adapter in adapters() {
            if adapter.is_software() {
                reason = format!("the only GPU is software, {}", adapter.name);
                continue;
            }
            match adapter.open() {
                Ok(open) => return open,
                Err(error) => reason = error.to_string(),
            }
        }
        cpu(Some(reason))
    }

    /// The GPU of the given number, or the first.
    pub(super) fn gpu(number: Option<usize>) -> Result<OpenDevice, DeviceError> {
        let mut adapters = adapters();
        let index = number.unwrap_or(0);
        if index < adapters.len() {
            return adapters.swap_remove(index).open();
        }
        let names: Vec<&str> = adapters.iter().map(|adapter| adapter.name.as_str()).collect();
        let found = match names.as_slice() {
            [] => "no adapter found; a Vulkan, Metal or DirectX 12 driver is needed".to_owned(),
            names => format!("there are {}: {}", names.len(), names.join(", ")),
        };
        Err(DeviceError::NoAdapter { number, found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_parse_back_and_nonsense_is_refused() {
        for text in ["auto", "cpu", "gpu", "gpu:3"] {
            assert_eq!(text.parse::<DeviceChoice>().unwrap().to_string(), text);
        }
        for text in ["", "GPU", "gpu:", "gpu:-1", "cuda"] {
            assert!(text.parse::<DeviceChoice>().is_err(), "{text}");
        }
    }

    #[cfg(not(feature = "gpu"))]
    #[test]
    fn a_cpu_build_names_the_feature() {
        let error = DeviceChoice::Gpu(None).open().unwrap_err();
        assert!(error.to_string().contains("feature `gpu`"));
    }
}
