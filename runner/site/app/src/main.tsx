// The start of the pages.
import "./style.css";
import { render } from "preact";
import { listen } from "site/keys";
import { Shell } from "site/shell";

listen();
render(<Shell />, document.getElementById("app")!);
