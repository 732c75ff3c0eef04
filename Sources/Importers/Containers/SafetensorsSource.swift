// Reads tensors from a safetensors file.

import Compute
internal import Files
import Models

/// The tensors of a safetensors file.
struct SafetensorsSource: TensorSource {
    private let file: SafetensorsFile

    var path: String { file.path }
    var names: Set<String> { Set(file.names) }
    var origin: WeightsOrigin? { nil }

    init(path: String) throws(ImportError) {
        do throws(FileError) {
            file = try SafetensorsFile(path: path)
        } catch {
            throw ImportError(error)
        }
    }

    func shape(of name: String) -> [Int]? { file.entry(name)?.shape }

    func dtype(of name: String) -> TorchDType? { file.entry(name).flatMap { TorchDType(rawValue: $0.dtype.rawValue) } }

    func read(_ name: String) throws(ImportError) -> TensorContent {
        guard let entry = file.entry(name), let dtype = TorchDType(rawValue: entry.dtype.rawValue) else {
            throw missing(name)
        }
        let tensor: HostTensor
        do throws(FileError) {
            tensor = try file.read(entry)
        } catch {
            throw ImportError(error)
        }
        return TensorContent(tensor.bytes, dtype: dtype, shape: tensor.shape, owner: tensor.owner ?? file)
    }
}
