//! Reading weights and putting them into a module.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    str::FromStr,
};

use burn::{
    module::{Module, ModuleMapper, Param},
    tensor::{AllocationProperty, Bytes, DType, Tensor, TensorData},
};
use burn_pack::Reader;

use crate::{FORMAT_VERSION, NETWORK_KEY, Origin, Problem, VERSION_KEY, WeightsError};

/// Weights read and checked to be of the network asked for, not yet in a module.
#[derive(Debug)]
pub struct WeightsFile {
    origin: Origin,
    metadata: BTreeMap<String, String>,
    tensors: HashMap<String, TensorData>,
}

impl WeightsFile {
    /// Reads weights of `network` from memory.
    ///
    /// # Errors
    /// If the bytes are not a weights file, are cut short, or belong to another network or version.
    pub fn from_bytes(bytes: Vec<u8>, network: &str) -> Result<Self, WeightsError> {
        Self::from_shared(bytes.into(), network)
    }

    /// As [`WeightsFile::from_bytes`], without a copy of what is part of the program.
    ///
    /// # Errors
    /// As [`WeightsFile::from_bytes`].
    pub fn from_static(bytes: &'static [u8], network: &str) -> Result<Self, WeightsError> {
        Self::from_shared(bytes::Bytes::from_static(bytes), network)
    }

    /// As [`WeightsFile::from_bytes`], without a copy of what others share.
    ///
    /// # Errors
    /// As [`WeightsFile::from_bytes`].
    pub fn from_shared(bytes: bytes::Bytes, network: &str) -> Result<Self, WeightsError> {
        Self::parse(bytes, network, Origin::Memory)
    }

    /// Reads weights of `network` from a file.
    ///
    /// # Errors
    /// As [`WeightsFile::from_bytes`], or if the file cannot be read.
    pub fn open(path: &Path, network: &str) -> Result<Self, WeightsError> {
        let origin = Origin::File(path.to_path_buf());
        match std::fs::read(path) {
            Ok(bytes) => Self::parse(bytes.into(), network, origin),
            Err(error) => Err(WeightsError { origin, problem: Problem::Io(error) }),
        }
    }

    fn parse(bytes: bytes::Bytes, network: &str, origin: Origin) -> Result<Self, WeightsError> {
        match parse(bytes, network) {
            Ok((metadata, tensors)) => Ok(Self { origin, metadata, tensors }),
            Err(problem) => Err(WeightsError { origin, problem }),
        }
    }

    /// The metadata entry `key`.
    ///
    /// # Errors
    /// If the file has no such entry.
    pub fn metadata(&self, key: &str) -> Result<&str, WeightsError> {
        self.optional_metadata(key).ok_or_else(|| self.error(Problem::Metadata(key.to_owned())))
    }

    /// The metadata entry `key`, or `None` if the file has none.
    pub fn optional_metadata(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// The metadata entry `key` as what it is the text of, or `None` if the file has none.
    ///
    /// # Errors
    /// If the text is that of something else.
    pub fn parsed_metadata<T: FromStr>(&self, key: &str) -> Result<Option<T>, WeightsError> {
        let damaged = |_| self.error(Problem::Metadata(key.to_owned()));
        self.optional_metadata(key).map(|text| text.parse().map_err(damaged)).transpose()
    }

    /// The shape of the parameter `name`, if the file has it.
    pub fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors.get(name).map(|data| data.shape().to_vec())
    }

    /// The values of the parameter `name`, row-major.
    ///
    /// # Errors
    /// If the file has no such parameter.
    pub fn values(&self, name: &str) -> Result<Vec<f32>, WeightsError> {
        let missing = || self.error(Problem::Mismatch(format!("`{name}` is missing")));
        let data = self.tensors.get(name).ok_or_else(missing)?.clone();
        data.convert_dtype(DType::F32).try_into_vec().map_err(|_| missing())
    }

    /// An error about this file, for what only its reader can judge, such as metadata.
    pub fn error(&self, problem: Problem) -> WeightsError {
        WeightsError { origin: self.origin.clone(), problem }
    }

    /// Puts the weights into `module`, as `f32` on the module's device.
    ///
    /// # Errors
    /// If a parameter is absent, left over, or of another shape.
    pub fn load_into<M: Module>(self, module: M) -> Result<M, WeightsError> {
        let mut loader = Loader { path: Vec::new(), tensors: self.tensors, problems: Vec::new() };
        let module = module.map(&mut loader);
        let mut problems = loader.problems;
        let mut unused: Vec<_> = loader.tensors.into_keys().collect();
        unused.sort_unstable();
        problems.extend(unused.into_iter().map(|name| format!("`{name}` is not a part of it")));
        let Some(first) = problems.first() else { return Ok(module) };
        let message = match problems.len() - 1 {
            0 => first.clone(),
            more => format!("{first} (and {more} more)"),
        };
        Err(WeightsError { origin: self.origin, problem: Problem::Mismatch(message) })
    }
}

type Parsed = (BTreeMap<String, String>, HashMap<String, TensorData>);

fn parse(bytes: bytes::Bytes, network: &str) -> Result<Parsed, Problem> {
    let reader = Reader::from_bytes(aligned(bytes)).map_err(pack_problem)?;
    let metadata = reader.metadata().clone();
    let entry = |key: &str| metadata.get(key).map_or("another program", String::as_str);
    if entry(NETWORK_KEY) != network {
        let (expected, found) = (network.to_owned(), entry(NETWORK_KEY).to_owned());
        return Err(Problem::OtherNetwork { expected, found });
    }
    if entry(VERSION_KEY) != FORMAT_VERSION {
        let found = entry(VERSION_KEY).to_owned();
        return Err(Problem::OtherVersion { expected: FORMAT_VERSION, found });
    }
    let mut tensors = HashMap::new();
    for tensor in reader.into_tensors().map_err(pack_problem)? {
        let (name, dtype, shape, _, bytes) = tensor.into_parts().map_err(pack_problem)?;
        if !matches!(dtype, DType::F32 | DType::F16) {
            return Err(Problem::Mismatch(format!("`{name}` is stored as {dtype:?}")));
        }
        tensors.insert(name, TensorData::from_bytes(bytes, shape, dtype));
    }
    Ok((metadata, tensors))
}

/// The bytes as they are, or copied if their address does not suit the floats in them.
fn aligned(bytes: bytes::Bytes) -> Bytes {
    if bytes.as_ptr().addr().is_multiple_of(align_of::<f64>()) {
        Bytes::from_shared(bytes, AllocationProperty::Other)
    } else {
        Bytes::from_bytes_vec(bytes.to_vec())
    }
}

fn pack_problem(error: burn_pack::Error) -> Problem {
    match error {
        burn_pack::Error::InvalidMagicNumber => Problem::NotWeights,
        other => Problem::Damaged(other.to_string()),
    }
}

/// Replaces every float parameter by the tensor of the same module path.
struct Loader {
    path: Vec<String>,
    tensors: HashMap<String, TensorData>,
    problems: Vec<String>,
}

impl ModuleMapper for Loader {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.join(".");
        let Some(data) = self.tensors.remove(&path) else {
            self.problems.push(format!("`{path}` is missing"));
            return param;
        };
        let expected = param.lazy_shape();
        if data.shape() != &expected {
            self.problems.push(format!(
                "`{path}` has shape {:?}, expected {:?}",
                data.shape().to_vec(),
                expected.to_vec()
            ));
            return param;
        }
        let device = param.lazy_device();
        let id = param.id;
        param.transform_for_load(Tensor::from_data(data, (&device, DType::F32)), id)
    }
}
