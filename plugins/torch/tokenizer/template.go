package tokenizer

// template returns the special tokens that a post-processor puts before and after a text, "" for none.
func template(postProcessor any) (before, after string) {
	step, _ := postProcessor.(map[string]any)
	if steps, ok := step["processors"].([]any); ok {
		for _, s := range steps {
			if before, after = template(s); before != "" || after != "" {
				return before, after
			}
		}
		return "", ""
	}
	parts, _ := step["single"].([]any)
	passed := false
	for _, p := range parts {
		part, _ := p.(map[string]any)
		if _, ok := part["Sequence"]; ok {
			passed = true
		}
		special, _ := part["SpecialToken"].(map[string]any)
		content, _ := special["id"].(string)
		switch {
		case content == "":
		case passed:
			after = content
		default:
			before = content
		}
	}
	return before, after
}
