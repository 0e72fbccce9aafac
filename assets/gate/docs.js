// What the pages need of bootstrap-table: a table of `columns` and `data` whose rows lead somewhere.
(function ($) {
  $.fn.bootstrapTable = function (options) {
    if (typeof options === "string") return this;
    return this.each(function () {
      const columns = options.columns, by = options.sortName, down = options.sortOrder === "desc";
      const rows = (options.data || []).slice();
      if (by) rows.sort((a, b) => (a[by] > b[by] ? 1 : a[by] < b[by] ? -1 : 0) * (down ? -1 : 1));
      const head = $("<tr>").append(columns.map((column) => $("<th>").text(column.title)));
      const body = rows.map((row) =>
        $("<tr>")
          .css("cursor", row._table_row_link_path ? "pointer" : "")
          .on("click", () => row._table_row_link_path && (window.location.href = row._table_row_link_path))
          .append(columns.map((column) => $("<td>").css("text-align", column.align || "").html(row[column.field])))
      );
      $(this).addClass("table table-hover table-sm").empty().append($("<thead>").append(head), $("<tbody>").append(body));
    });
  };
})(jQuery);
