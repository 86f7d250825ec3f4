//! Reads the training curves from `losses.csv`.

use super::page_data::{CurveSeries, TrainingCurves};
use crate::error::{Error, Kind, Result};
use std::path::Path;

/// Reads a log of losses: a row per epoch, with the number of the epoch in the first column. Columns that never change (a loss that took no
/// part, a constant learning rate) are left out. `None` if there is no epoch.
///
/// # Errors
/// [`Kind::Io`] if there is no such file; [`Kind::InvalidData`] if it is not a table of numbers.
pub fn read(path: &Path) -> Result<Option<TrainingCurves>> {
    let text = std::fs::read(path).map_err(|e| Error::io("read", path, &e))?;
    let invalid = |what: String| Error::new(Kind::InvalidData, format!("\"{}\": {what}", path.display()));
    let mut reader = csv::Reader::from_reader(text.as_slice());
    let header = reader.headers().map_err(|e| invalid(e.to_string()))?.clone();
    let mut epochs = Vec::new();
    let mut series: Vec<CurveSeries> =
        header.iter().skip(1).map(|name| CurveSeries { name: name.into(), values: vec![] }).collect();
    for (row, record) in reader.records().enumerate() {
        let record = record.map_err(|e| invalid(e.to_string()))?;
        let number = |text: &str| {
            let number = text.parse::<f64>().ok().filter(|x| x.is_finite());
            number.ok_or_else(|| invalid(format!("row {} holds \"{text}\", not a number", row + 1)))
        };
        epochs.push(number(record.get(0).unwrap_or_default())?);
        for (series, text) in series.iter_mut().zip(record.iter().skip(1)) {
            series.values.push(if text.is_empty() { None } else { Some(number(text)?) });
        }
    }
    series.retain(|s| {
        let mut values = s.values.iter().flatten();
        let first = values.next();
        first.is_some_and(|first| epochs.len() == 1 || values.any(|x| x != first))
    });
    Ok((!epochs.is_empty()).then_some(TrainingCurves { epochs, series }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curves(text: &str) -> Result<Option<TrainingCurves>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("losses.csv");
        std::fs::write(&path, text).unwrap();
        read(&path)
    }

    #[test]
    fn columns_that_never_change_are_left_out() {
        let c =
            curves("epoch,rate,total,order,\"a,b\"\n1,0.1,3,,\n2,0.1,2,,1.5\n3,0.1,1,,2\n").unwrap().unwrap();
        assert_eq!(c.epochs, [1.0, 2.0, 3.0]);
        let names: Vec<&str> = c.series.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["total", "a,b"]);
        assert_eq!(c.series[1].values, [None, Some(1.5), Some(2.0)]);
    }

    #[test]
    fn an_unusable_log_is_an_error_that_says_why() {
        assert!(curves("epoch,total\n").unwrap().is_none());
        assert!(curves("").unwrap().is_none());
        let message = |text| curves(text).unwrap_err().message;
        assert!(message("epoch,total\n1,2\n2,NaN\n").ends_with("row 2 holds \"NaN\", not a number"));
        assert!(message("epoch,total\n1\n").contains("losses.csv"));
        let missing = read(Path::new("/nowhere/losses.csv")).unwrap_err();
        assert_eq!(missing.kind, Kind::Io);
    }
}
