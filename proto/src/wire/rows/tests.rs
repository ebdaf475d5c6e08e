// Tests of rows come with the format page.
