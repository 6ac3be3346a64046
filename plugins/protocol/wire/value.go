package wire

import (
	"surprisal.dev/plugins/protocol"
	"surprisal.dev/plugins/protocol/pluginpb"
)

// FromProviderDescription converts a description to its message.
func FromProviderDescription(d protocol.ProviderDescription) *pluginpb.ProviderDescription {
	return &pluginpb.ProviderDescription{
		Name: d.Name, Version: d.Version, Schema: d.Schema, Environment: d.Environment, Capabilities: d.Capabilities,
	}
}

// ToProviderDescription undoes FromProviderDescription.
func ToProviderDescription(d *pluginpb.ProviderDescription) protocol.ProviderDescription {
	return protocol.ProviderDescription{
		Name: d.GetName(), Version: d.GetVersion(), Schema: d.GetSchema(), Environment: d.GetEnvironment(),
		Capabilities: d.GetCapabilities(),
	}
}

// FromBackendDescription converts a description to its message.
func FromBackendDescription(d protocol.BackendDescription) *pluginpb.BackendDescription {
	return &pluginpb.BackendDescription{
		Name: d.Name, Version: d.Version, Schema: d.Schema, Environment: d.Environment,
		Trains: d.Trains, Capabilities: d.Capabilities, NeutralSettings: d.NeutralSettings,
	}
}

// ToBackendDescription undoes FromBackendDescription.
func ToBackendDescription(d *pluginpb.BackendDescription) protocol.BackendDescription {
	return protocol.BackendDescription{
		Name: d.GetName(), Version: d.GetVersion(), Schema: d.GetSchema(), Environment: d.GetEnvironment(),
		Trains: d.GetTrains(), Capabilities: d.GetCapabilities(), NeutralSettings: d.GetNeutralSettings(),
	}
}

// FromResolveRequest converts a request to its message.
func FromResolveRequest(r protocol.ResolveRequest) *pluginpb.ResolveRequest {
	return &pluginpb.ResolveRequest{Source: fromSource(r.Source), Network: r.Network, Cache: r.Cache, CacheReadOnly: r.CacheReadOnly}
}

// ToResolveRequest undoes FromResolveRequest.
func ToResolveRequest(r *pluginpb.ResolveRequest) protocol.ResolveRequest {
	return protocol.ResolveRequest{
		Source: toSource(r.GetSource()), Network: r.GetNetwork(), Cache: r.GetCache(), CacheReadOnly: r.GetCacheReadOnly(),
	}
}

// FromReadRequest converts a request to its message.
func FromReadRequest(r protocol.ReadRequest) *pluginpb.ReadRequest {
	return &pluginpb.ReadRequest{
		Source: fromSource(r.Source), Pinned: FromResolution(r.Pinned), Fields: r.Fields, Cluster: r.Cluster,
		From: r.From, To: r.To,
	}
}

// ToReadRequest undoes FromReadRequest.
func ToReadRequest(r *pluginpb.ReadRequest) protocol.ReadRequest {
	return protocol.ReadRequest{
		Source: toSource(r.GetSource()), Pinned: ToResolution(r.GetPinned()), Fields: r.GetFields(), Cluster: r.GetCluster(),
		From: r.GetFrom(), To: r.GetTo(),
	}
}

func fromSource(s protocol.Source) *pluginpb.Source {
	return &pluginpb.Source{Config: s.Config, Dir: s.Dir, Confine: s.Confine}
}

func toSource(s *pluginpb.Source) protocol.Source {
	return protocol.Source{Config: s.GetConfig(), Dir: s.GetDir(), Confine: s.GetConfine()}
}

// FromResolution converts a resolution to its message.
func FromResolution(r protocol.Resolution) *pluginpb.Resolution {
	files := make([]*pluginpb.File, len(r.Files))
	for i, f := range r.Files {
		files[i] = &pluginpb.File{Name: f.Name, Digest: f.Digest, Bytes: f.Bytes, Compressed: f.Compressed}
	}
	return &pluginpb.Resolution{Parameters: r.Parameters, Files: files, Revision: r.Revision, Local: r.Local}
}

// ToResolution undoes FromResolution.
func ToResolution(r *pluginpb.Resolution) protocol.Resolution {
	var files []protocol.File
	for _, f := range r.GetFiles() {
		files = append(files, protocol.File{Name: f.GetName(), Digest: f.GetDigest(), Bytes: f.GetBytes(), Compressed: f.GetCompressed()})
	}
	return protocol.Resolution{Parameters: r.GetParameters(), Files: files, Revision: r.GetRevision(), Local: r.GetLocal()}
}

// FromModel converts a model to its message.
func FromModel(m protocol.Model) *pluginpb.Model {
	files := make([]*pluginpb.ModelFile, len(m.Files))
	for i, f := range m.Files {
		files[i] = &pluginpb.ModelFile{Name: f.Name, Path: f.Path, Digest: f.Digest}
	}
	return &pluginpb.Model{Config: m.Config, Files: files, Halvings: int32(m.Halvings)}
}

// ToModel undoes FromModel.
func ToModel(m *pluginpb.Model) protocol.Model {
	var files []protocol.ModelFile
	for _, f := range m.GetFiles() {
		files = append(files, protocol.ModelFile{Name: f.GetName(), Path: f.GetPath(), Digest: f.GetDigest()})
	}
	return protocol.Model{Config: m.GetConfig(), Files: files, Halvings: int(m.GetHalvings())}
}

// FromSettings converts settings to their message.
func FromSettings(s protocol.Settings) *pluginpb.Settings {
	return &pluginpb.Settings{
		Prefix: s.Prefix, Context: s.Context, Stride: s.Stride, Anchor: s.Anchor, Eos: s.EOS, Confidence: s.Confidence,
		RangeFrom: s.Range.From, RangeScore: s.Range.Score, RangeTo: s.Range.To, TopK: s.TopK,
		ActivationThreshold: s.ActivationThreshold,
	}
}

// ToSettings undoes FromSettings.
func ToSettings(s *pluginpb.Settings) protocol.Settings {
	return protocol.Settings{
		Prefix: s.GetPrefix(), Context: s.GetContext(), Stride: s.GetStride(), Anchor: s.GetAnchor(), EOS: s.GetEos(),
		Confidence:          s.GetConfidence(),
		Range:               protocol.TokenRange{From: s.GetRangeFrom(), Score: s.GetRangeScore(), To: s.GetRangeTo()},
		TopK:                s.GetTopK(),
		ActivationThreshold: s.GetActivationThreshold(),
	}
}

// FromEstimate converts an estimate to its message.
func FromEstimate(e protocol.Estimate) *pluginpb.Estimate {
	return &pluginpb.Estimate{
		Parameters: e.Parameters, WeightBytes: e.WeightBytes, FlopsPerToken: e.FLOPsPerToken, MemoryBytes: e.MemoryBytes,
		BytesPerToken: e.BytesPerToken, DeviceMemoryBytes: e.DeviceMemoryBytes, Devices: e.Devices,
		TrainingMemoryPerByte: e.TrainingMemoryPerByte, MemoryPerTrainingByte: e.MemoryPerTrainingByte,
		SharesPrefixes: e.SharesPrefixes, ActiveParameters: e.ActiveParameters, Context: e.Context,
	}
}

// ToEstimate undoes FromEstimate.
func ToEstimate(e *pluginpb.Estimate) protocol.Estimate {
	return protocol.Estimate{
		Parameters: e.GetParameters(), WeightBytes: e.GetWeightBytes(), FLOPsPerToken: e.GetFlopsPerToken(),
		MemoryBytes: e.GetMemoryBytes(), BytesPerToken: e.GetBytesPerToken(),
		DeviceMemoryBytes: e.GetDeviceMemoryBytes(), Devices: e.GetDevices(),
		TrainingMemoryPerByte: e.GetTrainingMemoryPerByte(), MemoryPerTrainingByte: e.GetMemoryPerTrainingByte(),
		SharesPrefixes: e.GetSharesPrefixes(), ActiveParameters: e.GetActiveParameters(), Context: e.GetContext(),
	}
}

// FromLoadedModel converts a loaded model, called handle on the wire, to its message.
func FromLoadedModel(handle string, m protocol.LoadedModel) *pluginpb.LoadedModel {
	return &pluginpb.LoadedModel{
		Handle: handle, ContextLimit: m.ContextLimit, VocabularySize: m.VocabularySize, Device: m.Device, Dtype: m.Dtype,
		Computed: m.Computed, Arithmetic: m.Arithmetic, Sites: m.Sites, HiddenSize: m.HiddenSize,
	}
}

// ToLoadedModel undoes FromLoadedModel, except for the handle.
func ToLoadedModel(m *pluginpb.LoadedModel) protocol.LoadedModel {
	return protocol.LoadedModel{
		ContextLimit: m.GetContextLimit(), VocabularySize: m.GetVocabularySize(), Device: m.GetDevice(), Dtype: m.GetDtype(),
		Computed: m.GetComputed(), Arithmetic: m.GetArithmetic(), Sites: m.GetSites(), HiddenSize: m.GetHiddenSize(),
	}
}
