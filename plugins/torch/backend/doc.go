// Package backend is the torch backend: it scores documents with the weights of real models.
//
// It combines plugins/torch/tokenizer, checkpoint and decoder behind plugins/sdk. Everything in it needs the build tag
// torch.
package backend
