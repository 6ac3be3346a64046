// Package backend is the torch backend: it scores documents with the weights of real models.
//
// It puts plugins/torch/tokenizer, checkpoint and decoder together behind plugins/sdk. All of it needs the build tag torch.
package backend
