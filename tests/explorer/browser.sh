#!/usr/bin/env bash
# The page in a browser, with the keyboard alone: searching, weighting, changing a value, transitions, errors; every control has a name, and the page
# fits narrow windows. Needs Chromium and Node. usage: browser.sh [FOLDER-FOR-SCREENSHOTS]
source "$(dirname "$0")/../tools/explorer_fixture.sh"
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
if [ -z "$browser" ] || ! command -v node >/dev/null; then
  echo 'skipped: needs Chromium and Node'
  exit
fi
shop_cluster 360
serve --table products --category-column category
images=("$SCRATCH"/gallery/*/*.png)
node "$ROOT/tests/tools/explorer.mjs" "$browser" "$url" "$SCRATCH/profile" "${images[0]}" ${1:+"$1"}
